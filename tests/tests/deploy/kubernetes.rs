//! The overlays for Kubernetes.

use super::manifests::{check_config, read, texts};
use super::overlays::{Overlay, Pod, overlays, validate};
use serde_json::{Value, json};

/// Seconds that a stop takes besides the grace: bodies end or the process does, the broker is left.
const STOP_SECONDS: u64 = 30;

#[test]
fn every_overlay_is_as_the_schemas_of_its_kinds_want_it() {
    for overlay in overlays() {
        let path = format!("deploy/kubernetes/overlays/{}", overlay.name);
        let valid = validate(&path, "").unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(valid, Value::Array(overlay.documents));
    }
}

#[test]
fn a_fault_in_a_manifest_is_found_by_the_schema_of_its_kind() {
    let component = |file: &str| {
        let text = read(&format!("deploy/kubernetes/components/{file}"));
        // As the overlays do.
        text.replace("\nmetadata:\n", "\nmetadata:\n  namespace: millrace\n")
    };
    let worker = read("deploy/kubernetes/base/worker.yaml");
    let keda = component("keda/scaled-object.yaml");
    let rules = component("monitoring/rules.yaml");
    let monitors = component("monitoring/monitors.yaml");
    let cluster = component("rabbitmq/cluster.yaml");
    let all = [&worker, &keda, &rules, &monitors, &cluster].map(|text| text.trim_end());
    let all = all.join("\n---\n");
    validate("-", &all).unwrap();
    let mut broken = all.clone();
    let faults = [
        (
            "terminationGracePeriodSeconds",
            "graceSeconds",
            "'graceSeconds' was unexpected",
        ),
        (
            "port: 24821",
            "port: health",
            "'health' is not of type 'integer'",
        ),
        (
            "kind: PodDisruptionBudget",
            "kind: PodBudget",
            "no schema for PodBudget",
        ),
        (
            "maxReplicaCount",
            "maxReplicas",
            "'maxReplicas' was unexpected",
        ),
        (
            "threshold: \"6\"",
            "threshold: 6",
            "6 is not of type 'string'",
        ),
        ("expr:", "expression:", "'expr' is a required property"),
        (
            "path: /metrics",
            "path: metrics",
            "'metrics' does not match",
        ),
        ("replicas: 3", "replicas: 4", "4 should not be valid"),
        (
            "allowPrivilegeEscalation: false\n                  capabilities",
            "capabilities",
            "'allowPrivilegeEscalation' is a required property",
        ),
    ];
    for (right, wrong, _) in &faults {
        assert!(broken.contains(right), "{right}");
        broken = broken.replacen(right, wrong, 1);
    }
    let found = validate("-", &broken).unwrap_err();
    for (_, wrong, said) in faults {
        assert!(found.contains(said), "{wrong}: {found}");
    }
}

#[test]
fn the_alerts_are_those_that_are_shipped_for_prometheus() {
    let alerts = read("deploy/prometheus/alerts.yaml").replace('\n', "\n  ");
    let rule = "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\n\
                metadata: {name: millrace, namespace: millrace}\nspec:\n  ";
    let shipped = validate("-", &format!("{rule}{alerts}")).unwrap();
    for overlay in overlays() {
        let own = overlay.one("PrometheusRule", "millrace");
        assert_eq!(own["spec"], shipped[0]["spec"], "{}", overlay.name);
    }
}

#[test]
fn every_variable_is_a_setting_that_the_program_accepts() {
    for overlay in overlays() {
        for pod in overlay.pods() {
            let command = pod.command();
            check_config(command[0], &[], &pod.environment)
                .unwrap_or_else(|e| panic!("{} {}: {e}", overlay.name, pod.name));
            let mut wrong = pod.environment;
            wrong.insert("MILLRACE__WORKER__GRACE".into(), "1".into());
            let refused = check_config(command[0], &[], &wrong).unwrap_err();
            assert!(refused.contains("grace"), "{refused}");
        }
    }
}

#[test]
fn ports_are_those_that_the_programs_listen_on() {
    for overlay in overlays() {
        let health = "MILLRACE__WORKER__HEALTH_LISTEN";
        for (name, setting, metrics) in [
            (
                "millrace-api",
                "MILLRACE__API__LISTEN",
                "MILLRACE__API__METRICS_LISTEN",
            ),
            ("millrace-worker", health, health),
        ] {
            let pod = overlay.pod(name);
            let number = |address: &str| -> u64 {
                let port = address.rsplit(':').next().unwrap();
                port.parse().unwrap()
            };
            let listens = number(&pod.environment[setting]);
            for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                let port = &pod.container[probe]["httpGet"]["port"];
                assert_eq!(pod.port(port), listens, "{name} {probe}");
            }
            let service = overlay.one("Service", name);
            let selector = service["spec"]["selector"].as_object().unwrap();
            assert!(
                selector
                    .iter()
                    .all(|(key, value)| pod.labels[key] == *value)
            );
            let of_service = |name: &Value| {
                let mut ports = service["spec"]["ports"].as_array().unwrap().iter();
                let port = ports.find(|port| port["name"] == *name);
                pod.port(&port.expect("a port of the service")["targetPort"])
            };
            assert_eq!(of_service(&service["spec"]["ports"][0]["name"]), listens);
            let monitor = overlay.one("ServiceMonitor", name);
            let scraped = of_service(&monitor["spec"]["endpoints"][0]["port"]);
            assert_eq!(scraped, number(&pod.environment[metrics]));
            let open = &overlay.one("NetworkPolicy", "metrics")["spec"]["ingress"][0]["ports"];
            let mut open = open.as_array().unwrap().iter();
            assert!(open.any(|port| port["port"] == scraped), "{name}");
        }
    }
}

#[test]
fn every_pod_runs_as_nobody_on_a_read_only_root() {
    for overlay in overlays() {
        let namespace = &overlay.one("Namespace", "millrace")["metadata"]["labels"];
        assert_eq!(
            namespace["pod-security.kubernetes.io/enforce"],
            "restricted"
        );
        for pod in overlay.pods() {
            let (all, own) = (
                &pod.spec["securityContext"],
                &pod.container["securityContext"],
            );
            assert_eq!(all["runAsNonRoot"], true, "{}", pod.name);
            assert_eq!(all["runAsUser"], 65532, "{}", pod.name);
            assert_eq!(
                all["seccompProfile"]["type"], "RuntimeDefault",
                "{}",
                pod.name
            );
            assert_eq!(
                *own,
                json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}}),
                "{}",
                pod.name
            );
            for forbidden in ["hostNetwork", "hostPID", "hostIPC"] {
                assert!(pod.spec[forbidden].is_null(), "{}", pod.name);
            }
            assert_eq!(
                pod.spec["automountServiceAccountToken"], false,
                "{}",
                pod.name
            );
            assert_eq!(pod.spec["enableServiceLinks"], false, "{}", pod.name);
            assert!(pod.container["resources"]["limits"]["memory"].is_string());
        }
    }
}

/// The volume that is mounted at a path.
fn mounted<'a>(pod: &Pod<'a>, path: &str) -> (&'a Value, &'a Value) {
    let mut mounts = pod.container["volumeMounts"].as_array().unwrap().iter();
    let found = mounts.find(|mount| mount["mountPath"] == *path);
    let mount = found.unwrap_or_else(|| panic!("{}: nothing at {path}", pod.name));
    let mut volumes = pod.spec["volumes"].as_array().unwrap().iter();
    let volume = volumes.find(|v| v["name"] == mount["name"]);
    (mount, volume.expect("the volume of a mount"))
}

fn is_shared(overlay: &Overlay, volume: &Value) -> bool {
    let claim = volume["persistentVolumeClaim"]["claimName"].as_str();
    let claim = overlay.one("PersistentVolumeClaim", claim.unwrap());
    texts(&claim["spec"]["accessModes"]) == ["ReadWriteMany"]
}

#[test]
fn what_the_programs_write_is_on_volumes() {
    for overlay in overlays() {
        let (api, worker) = (overlay.pod("millrace-api"), overlay.pod("millrace-worker"));
        for pod in [&api, &worker] {
            assert!(mounted(pod, "/tmp").1["emptyDir"].is_object());
            let keys = &pod.environment["MILLRACE__SECRETS__KEY_FILES"];
            let (folder, file) = keys.rsplit_once('/').unwrap();
            assert_eq!(
                mounted(pod, folder).1["secret"]["secretName"],
                "millrace-keys"
            );
            assert_eq!(file, "key");
            let (_, exports) = mounted(pod, &pod.environment["MILLRACE__EXPORTS__ALLOWED_PATHS"]);
            assert!(is_shared(&overlay, exports));
            match pod.environment["MILLRACE__STORAGE__BACKEND"].as_str() {
                "s3" => assert!(
                    pod.environment
                        .contains_key("MILLRACE__STORAGE__SECRET_KEY")
                ),
                backend => {
                    assert_eq!(backend, "filesystem");
                    let (mount, media) = mounted(pod, &pod.environment["MILLRACE__STORAGE__ROOT"]);
                    assert!(is_shared(&overlay, media));
                    assert!(mount["readOnly"].is_null());
                    assert_ne!(media["name"], exports["name"]);
                }
            }
        }
        let exports = &worker.environment["MILLRACE__EXPORTS__ALLOWED_PATHS"];
        assert!(mounted(&worker, exports).0["readOnly"].is_null());
    }
}

#[test]
fn a_pod_is_given_the_time_that_its_program_takes_to_stop() {
    for overlay in overlays() {
        let worker = overlay.pod("millrace-worker");
        let grace = &worker.environment["MILLRACE__WORKER__GRACE_SECONDS"];
        let grace: u64 = grace.parse().unwrap();
        let given = worker.spec["terminationGracePeriodSeconds"]
            .as_u64()
            .unwrap();
        assert!(given >= grace + STOP_SECONDS, "{given} s for {grace} s");
        // Requests may finish within 30 s, after the pause.
        let api = overlay.pod("millrace-api");
        let pause = &api.container["lifecycle"]["preStop"]["sleep"]["seconds"];
        let given = api.spec["terminationGracePeriodSeconds"].as_u64().unwrap();
        assert!(given >= pause.as_u64().unwrap() + 30 + 10, "{given}");
    }
}

#[test]
fn secrets_are_referred_to_and_nowhere_given() {
    for overlay in overlays() {
        assert_eq!(overlay.of_kind("Secret").count(), 0);
        for map in overlay.of_kind("ConfigMap") {
            for name in map["data"].as_object().unwrap().keys() {
                let secret = ["URL", "PASSWORD", "SECRET_KEY", "ACCESS_KEY"];
                assert!(!secret.iter().any(|end| name.ends_with(end)), "{name}");
            }
        }
        for pod in overlay.pods() {
            for variable in pod.container["env"].as_array().unwrap() {
                let (name, value) = (&variable["name"], variable["value"].as_str());
                let kept = variable["valueFrom"]["secretKeyRef"]["name"].is_string()
                    || value.is_some_and(|value| value.contains(":$(RABBITMQ_PASSWORD)@"));
                assert!(kept, "{name}");
            }
        }
    }
}

#[test]
fn with_tls_every_way_is_encrypted_and_the_authority_is_there() {
    let overlays = overlays();
    let overlay = overlays
        .iter()
        .find(|overlay| overlay.name == "tls")
        .unwrap();
    for name in ["millrace-api", "millrace-worker"] {
        let pod = overlay.pod(name);
        let broker = &pod.environment["MILLRACE__BROKER__URL"];
        assert!(
            broker.starts_with("amqps://") && broker.contains(":5671/"),
            "{broker}"
        );
    }
    let cluster = &overlay.one("RabbitmqCluster", "millrace-rabbitmq")["spec"]["tls"];
    assert_eq!(cluster["disableNonTLSListeners"], true);
    for policy in ["to-rabbitmq", "rabbitmq"] {
        let spec = overlay.one("NetworkPolicy", policy)["spec"].to_string();
        assert!(spec.contains("\"port\":5671"), "{spec}");
        assert!(!spec.contains("\"port\":5672"), "{spec}");
    }
    for pod in overlay.pods() {
        let file = pod.environment["MILLRACE__BROKER__CA_FILE"].as_str();
        let (folder, name) = file.rsplit_once('/').unwrap();
        let (_, volume) = mounted(&pod, folder);
        assert_eq!(
            volume["secret"]["secretName"], "millrace-ca",
            "{}",
            pod.name
        );
        assert_eq!(volume["secret"]["items"][0]["path"], name);
        // The same file in the address of the database, which docs/OPERATIONS.md says.
        assert!(read("docs/OPERATIONS.md").contains(&format!("sslrootcert={file}")));
    }
    let api = overlay.pod("millrace-api");
    for setting in ["MILLRACE__API__CERTIFICATE_FILE", "MILLRACE__API__KEY_FILE"] {
        let (folder, _) = api.environment[setting].rsplit_once('/').unwrap();
        assert_eq!(
            mounted(&api, folder).1["secret"]["secretName"],
            "millrace-api-tls"
        );
    }
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert_eq!(api.container[probe]["httpGet"]["scheme"], "HTTPS");
    }
    let annotations = &overlay.one("Ingress", "millrace")["metadata"]["annotations"];
    // The controller verifies whom it talks to.
    for (name, value) in [
        ("backend-protocol", "HTTPS"),
        ("proxy-ssl-verify", "on"),
        ("proxy-ssl-secret", "millrace/millrace-ca"),
        ("proxy-ssl-name", "millrace-api.millrace.svc"),
        ("proxy-ssl-server-name", "on"),
    ] {
        let found = &annotations[format!("nginx.ingress.kubernetes.io/{name}")];
        assert_eq!(found, value, "{name}");
    }
}

#[test]
fn nothing_passes_but_what_a_policy_allows() {
    for overlay in overlays() {
        let deny = &overlay.one("NetworkPolicy", "default-deny")["spec"];
        assert_eq!(
            *deny,
            json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})
        );
        // Users name remotes: what they name must not be the cluster, or the machine's metadata.
        let remotes = &overlay.one("NetworkPolicy", "to-remotes")["spec"]["egress"][0]["to"];
        let except = texts(&remotes[0]["ipBlock"]["except"]);
        for private in [
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "169.254.0.0/16",
        ] {
            assert!(except.contains(&private), "{private}");
        }
    }
}

#[test]
fn the_fleet_at_its_largest_fits_into_the_database() {
    let conf = read("deploy/postgresql/postgresql.conf");
    let sessions = conf
        .lines()
        .find_map(|l| l.strip_prefix("max_connections = "));
    let sessions: u64 = sessions.unwrap().parse().unwrap();
    for overlay in overlays() {
        let worker = overlay.pod("millrace-worker");
        let shown = check_config("millrace-worker", &[], &worker.environment).unwrap();
        let settings: Value = serde_json::from_str(&shown).unwrap();
        let pool = settings["database"]["pool_size"].as_u64().unwrap();
        let slots = settings["worker"]["slots"].as_object().unwrap();
        let slots: u64 = slots.values().map(|n| n.as_u64().unwrap()).sum();
        let scaler = &overlay.one("ScaledObject", "millrace-worker")["spec"];
        let workers = scaler["maxReplicaCount"].as_u64().unwrap();
        let apis = &overlay.one("HorizontalPodAutoscaler", "millrace-api")["spec"];
        let apis = apis["maxReplicas"].as_u64().unwrap();
        // One more of each during a rolling upgrade; three are kept for superusers.
        let needed = (workers + 1) * (pool + slots + 4) + (apis + 1) * (pool + 3) + 3;
        // `doctor` warns from four fifths on.
        assert!(needed * 5 <= sessions * 4, "{needed} of {sessions}");
        assert!(overlay.one("Deployment", "millrace-worker")["spec"]["replicas"].is_null());
        let threshold = scaler["triggers"][0]["metadata"]["threshold"].as_str();
        assert_eq!(
            threshold,
            Some(&*settings["worker"]["slots"]["default"].to_string())
        );
    }
}
