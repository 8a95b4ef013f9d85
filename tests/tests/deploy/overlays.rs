//! The overlays for Kubernetes as data.

use super::manifests::{manifests, root, texts};
use serde_json::Value;
use std::collections::BTreeMap;

/// Holds an overlay against the schemas; or YAML that is not in the tree, where `-` is its name.
pub fn validate(overlay: &str, yaml: &str) -> Result<Value, String> {
    manifests(&["validate", "deploy/kubernetes/schemas", overlay], yaml)
}

/// One way to deploy on Kubernetes, rendered.
pub struct Overlay {
    pub name: String,
    pub documents: Vec<Value>,
}

/// All of them.
pub fn overlays() -> Vec<Overlay> {
    let all = std::fs::read_dir(root().join("deploy/kubernetes/overlays")).unwrap();
    let overlays: Vec<_> = all
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| {
            let path = format!("deploy/kubernetes/overlays/{name}");
            let rendered = manifests(&["render", &path], "");
            let rendered = rendered.unwrap_or_else(|faults| panic!("{name}: {faults}"));
            let documents = rendered.as_array().unwrap().clone();
            Overlay { name, documents }
        })
        .collect();
    assert!(overlays.len() >= 2);
    overlays
}

impl Overlay {
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.documents.iter().filter(move |d| d["kind"] == kind)
    }

    pub fn one<'a>(&'a self, kind: &'a str, name: &str) -> &'a Value {
        let found = self.of_kind(kind).find(|d| d["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("{}: no {kind} {name}", self.name))
    }

    /// The pods of our own programs.
    pub fn pods(&self) -> Vec<Pod<'_>> {
        let kinds = ["Deployment", "Job"];
        let owners = kinds.into_iter().flat_map(|kind| self.of_kind(kind));
        let pods: Vec<_> = owners.map(|owner| Pod::of(self, owner)).collect();
        assert_eq!(pods.len(), 3, "{}", self.name);
        pods
    }

    pub fn pod(&self, name: &str) -> Pod<'_> {
        let found = self.pods().into_iter().find(|pod| pod.name == name);
        found.unwrap_or_else(|| panic!("{}: no pod {name}", self.name))
    }
}

/// A pod with its one container.
pub struct Pod<'a> {
    pub name: &'a str,
    pub labels: &'a Value,
    pub spec: &'a Value,
    pub container: &'a Value,
    pub environment: BTreeMap<String, String>,
}

impl<'a> Pod<'a> {
    fn of(overlay: &'a Overlay, owner: &'a Value) -> Self {
        let template = &owner["spec"]["template"];
        let containers = template["spec"]["containers"].as_array().unwrap();
        let [container] = &containers[..] else {
            panic!("{}: one container is expected", owner["metadata"]["name"]);
        };
        assert!(template["spec"]["initContainers"].is_null());
        Self {
            name: owner["metadata"]["name"].as_str().unwrap(),
            labels: &template["metadata"]["labels"],
            spec: &template["spec"],
            environment: environment(overlay, container),
            container,
        }
    }

    /// The program, and what it is told.
    pub fn command(&self) -> Vec<&'a str> {
        texts(&self.container["args"])
    }

    /// The number of a port that is named.
    pub fn port(&self, name: &Value) -> u64 {
        let mut ports = self.container["ports"].as_array().unwrap().iter();
        let found = ports.find(|port| port["name"] == *name);
        let port = found.unwrap_or_else(|| panic!("{}: no port {name}", self.name));
        port["containerPort"].as_u64().unwrap()
    }
}

/// What the kubelet would set, with stand-ins for secrets.
fn environment(overlay: &Overlay, container: &Value) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for source in container["envFrom"].as_array().into_iter().flatten() {
        let name = source["configMapRef"]["name"].as_str().unwrap();
        for (key, value) in overlay.one("ConfigMap", name)["data"].as_object().unwrap() {
            all.insert(key.clone(), value.as_str().unwrap().to_owned());
        }
    }
    for variable in container["env"].as_array().into_iter().flatten() {
        let name = variable["name"].as_str().unwrap();
        let value = match variable["valueFrom"]["secretKeyRef"]["key"].as_str() {
            Some("database-url") => "postgres://u:p@h:5432/d".to_owned(),
            Some("broker-url") => "amqp://u:p@h:5672/%2F".to_owned(),
            Some(_) => "secret".to_owned(),
            None => expanded(variable["value"].as_str().unwrap(), &all),
        };
        all.insert(name.to_owned(), value);
    }
    all
}

/// With `$(NAME)` replaced, as far as NAME stands before it: the kubelet does no more.
fn expanded(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut text = text.to_owned();
    for (name, value) in known {
        text = text.replace(&format!("$({name})"), value);
    }
    assert!(!text.contains("$("), "{text}");
    text
}
