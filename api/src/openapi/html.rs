//! The document as a page that people read: self-contained, no scripts.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;\
color:#222}h2{border-bottom:1px solid #ccc;margin-top:2.5rem}code,pre{font:13px ui-monospace,monospace}\
pre{background:#f6f6f6;padding:.7rem;overflow:auto}details{margin:.4rem 0;padding:.3rem .6rem;border:1px solid #ddd;\
border-radius:.3rem}summary{cursor:pointer}b.m{display:inline-block;min-width:4.5rem}table{border-collapse:collapse;\
margin:.5rem 0}td{padding:.15rem .8rem .15rem 0;vertical-align:top}nav a{margin-right:1rem}";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Writes the page.
#[must_use]
pub fn page(document: &Value) -> String {
    let mut by_tag: BTreeMap<&str, String> = BTreeMap::new();
    let paths = document.get("paths").and_then(Value::as_object);
    for (path, methods) in paths.into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let tag = operation
                .pointer("/tags/0")
                .and_then(Value::as_str)
                .unwrap_or_default();
            by_tag
                .entry(tag)
                .or_default()
                .push_str(&entry(path, method, operation));
        }
    }
    let (mut nav, mut body) = (String::new(), String::new());
    for (tag, entries) in by_tag {
        let (tag, id) = (escape(tag), escape(&tag.replace([':', ' '], "-")));
        // Writing into a String cannot fail.
        let _ = write!(nav, "<a href=\"#{id}\">{tag}</a>");
        let _ = write!(body, "<h2 id=\"{id}\">{tag}</h2>{entries}");
    }
    let _ = write!(body, "<h2 id=\"schemas\">Schemas</h2>{}", schemas(document));
    let title = escape(
        document
            .pointer("/info/title")
            .and_then(Value::as_str)
            .unwrap_or_default(),
    );
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title} API</title>\
         <style>{STYLE}</style></head><body><h1>{title} API</h1><p>The same as a document for programs: \
         <a href=\"api.json\">api.json</a></p><nav>{nav}<a href=\"#schemas\">Schemas</a></nav>{body}</body></html>"
    )
}

fn entry(path: &str, method: &str, operation: &Value) -> String {
    let mut inside = String::new();
    let parameters = operation.get("parameters").and_then(Value::as_array);
    for parameter in parameters.into_iter().flatten() {
        let schema = parameter.get("schema").cloned().unwrap_or_default();
        let kind = text(&schema, "type").to_owned();
        let _ = write!(
            inside,
            "<tr><td><code>{}</code></td><td>{} {}</td><td>{}</td></tr>",
            escape(text(parameter, "name")),
            escape(text(parameter, "in")),
            escape(&kind),
            escape(text(parameter, "description")),
        );
    }
    let mut bodies = String::new();
    if let Some(content) = operation.pointer("/requestBody/content") {
        let _ = write!(bodies, "<p>Takes {}</p>", media(content));
    }
    let responses = operation.get("responses").and_then(Value::as_object);
    for (status, response) in responses.into_iter().flatten() {
        let content = response.get("content").map(media).unwrap_or_default();
        let _ = write!(bodies, "<p>Answers {} {content}</p>", escape(status));
    }
    format!(
        "<details><summary><b class=\"m\">{}</b> <code>{}</code> {}</summary><p><code>{}</code></p>{bodies}\
         <table>{inside}</table></details>",
        escape(&method.to_ascii_uppercase()),
        escape(path),
        escape(text(operation, "summary")),
        escape(text(operation, "operationId")),
    )
}

fn media(content: &Value) -> String {
    let mut shown = String::new();
    let mut schema = "";
    for (name, one) in content.as_object().into_iter().flatten() {
        let _ = write!(shown, "{} ", escape(name));
        schema = one
            .pointer("/schema/$ref")
            .and_then(Value::as_str)
            .unwrap_or_default();
    }
    let name = escape(schema.rsplit('/').next().unwrap_or_default());
    format!("{shown}<a href=\"#schema-{name}\">{name}</a>")
}

fn schemas(document: &Value) -> String {
    let mut shown = String::new();
    let all = document
        .pointer("/components/schemas")
        .and_then(Value::as_object);
    for (name, schema) in all.into_iter().flatten() {
        let name = escape(name);
        let json = serde_json::to_string_pretty(schema).unwrap_or_default();
        let _ = write!(
            shown,
            "<details id=\"schema-{name}\"><summary><code>{name}</code></summary><pre>{}</pre></details>",
            escape(&json)
        );
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_page_escapes_what_it_shows() {
        let document = json!({"info": {"title": "<T>"}, "paths": {"/a/": {"get": {
            "operationId": "a<b", "summary": "x", "tags": ["T"], "parameters": [], "responses": {}}}}});
        let page = page(&document);
        assert!(
            page.contains("&lt;T&gt; API") && page.contains("a&lt;b"),
            "{page}"
        );
    }
}
