//! A system with things to serve. Rows are written as tasks write them, without the tasks.

use millrace_tests::TestApp;
use millrace_tests::client::Answer;
use reqwest::Method;
use std::ops::Deref;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub const PREFIX: &str = "/pulp/content/";

const DOMAIN: &str = "(SELECT pulp_id FROM domain)";

pub struct Shop {
    pub app: TestApp,
    version: AtomicI64,
}

impl Deref for Shop {
    type Target = TestApp;
    fn deref(&self) -> &TestApp {
        &self.app
    }
}

impl Shop {
    pub async fn open() -> Self {
        Self::of(TestApp::start().await)
    }

    pub fn of(app: TestApp) -> Self {
        Self {
            app,
            version: AtomicI64::new(1),
        }
    }

    /// A distribution that serves a repository with these files.
    pub async fn with(base_path: &str, files: &[(&str, &str)]) -> Self {
        let shop = Self::open().await;
        let repository = shop.repository("shop").await;
        shop.publish(&repository, files).await;
        shop.distribute(base_path, "repository_id", &repository)
            .await;
        shop
    }

    async fn made(&self, insert: &str) -> String {
        let row = self
            .sql
            .query_one(&format!("{insert} RETURNING pulp_id::text"), &[])
            .await;
        row.unwrap_or_else(|e| panic!("{insert}: {e:?}")).get(0)
    }

    pub async fn repository(&self, name: &str) -> String {
        self.made(&format!(
            "INSERT INTO repository (pulp_id, pulp_domain, pulp_type, name) \
                   VALUES (gen_random_uuid(), {DOMAIN}, 'file.file', '{name}')"
        ))
        .await
    }

    /// A version of exactly these files, and its publication; gives the publication.
    pub async fn publish(&self, repository: &str, files: &[(&str, &str)]) -> String {
        let version = self.version(repository, files).await;
        self.publication(&version).await
    }

    pub async fn version(&self, repository: &str, files: &[(&str, &str)]) -> String {
        let mut units = Vec::new();
        for (path, bytes) in files {
            units.push(self.unit(path, bytes).await);
        }
        self.version_of(repository, &units).await
    }

    pub async fn version_of(&self, repository: &str, units: &[String]) -> String {
        let number = self.version.fetch_add(1, Ordering::Relaxed);
        let units = units.join("','");
        let version = self
            .made(&format!(
                "INSERT INTO repository_version (pulp_id, repository_id, number, complete) \
                   VALUES (gen_random_uuid(), '{repository}', {number}, true)"
            ))
            .await;
        self.sql
            .run(&format!(
                "UPDATE repository_content SET version_removed = {number} \
                  WHERE repository_id = '{repository}' AND version_removed IS NULL; \
                 INSERT INTO repository_content (repository_id, content_id, version_added, repo_key) \
                 SELECT '{repository}', pulp_id, {number}, millrace_key_hash(repo_key) \
                   FROM content WHERE pulp_id::text IN ('{units}')"
            ))
            .await;
        version
    }

    pub async fn publication(&self, version: &str) -> String {
        self.made(&format!("INSERT INTO publication (pulp_id, pulp_domain, pulp_type, repository_version_id, pass_through) \
                   VALUES (gen_random_uuid(), {DOMAIN}, 'file.file', '{version}', true)"
            ))
            .await
    }

    /// A file unit whose file was uploaded; gives its id.
    pub async fn unit(&self, path: &str, bytes: &str) -> String {
        let answer = self.app.try_upload(bytes.as_bytes().to_vec()).await;
        assert!(
            answer.status.is_success() || answer.status == 400,
            "{answer:?}"
        );
        let sha256 = self.sha256(bytes).await;
        let unit = self.bare_unit(path, &sha256).await;
        self.sql
            .run(&format!(
                "UPDATE content_artifact SET artifact_id = a.pulp_id FROM content c, artifact a \
                  WHERE content_id = c.pulp_id AND a.sha256 = '{sha256}' \
                    AND c.natural_key = sha256('{path}:{sha256}')"
            ))
            .await;
        unit
    }

    /// The same without its file; gives its id.
    pub async fn bare_unit(&self, path: &str, sha256: &str) -> String {
        self.sql
            .run(&format!(
                "INSERT INTO content (pulp_id, pulp_domain, pulp_type, natural_key, repo_key, fields) \
                 VALUES (gen_random_uuid(), {DOMAIN}, 'file.file', sha256('{path}:{sha256}'), sha256('{path}'), \
                         jsonb_build_object('relative_path', '{path}', 'digest', '{sha256}')) \
                 ON CONFLICT DO NOTHING; \
                 INSERT INTO content_artifact (pulp_id, content_id, relative_path) \
                 SELECT gen_random_uuid(), pulp_id, '{path}' FROM content \
                  WHERE natural_key = sha256('{path}:{sha256}') ON CONFLICT DO NOTHING"
            ))
            .await;
        self.sql
            .text(&format!(
                "SELECT pulp_id FROM content WHERE natural_key = sha256('{path}:{sha256}')"
            ))
            .await
    }

    pub async fn remote(&self, name: &str, policy: &str) -> String {
        self.made(&format!(
            "INSERT INTO remote (pulp_id, pulp_domain, pulp_type, name, url, policy, max_retries) \
             VALUES (gen_random_uuid(), {DOMAIN}, 'file.file', '{name}', 'http://localhost/', '{policy}', 0)"
        ))
        .await
    }

    /// Says where a unit's file can be fetched; size and digest may be `NULL`.
    pub async fn source(&self, unit: &str, remote: &str, url: &str, size: &str, sha256: &str) {
        self.sql
            .run(&format!(
                "INSERT INTO remote_artifact (pulp_id, content_artifact_id, remote_id, url, size, sha256) \
                 SELECT gen_random_uuid(), pulp_id, '{remote}', '{url}', {size}, {sha256} \
                   FROM content_artifact WHERE content_id = '{unit}'"
            ))
            .await;
    }

    pub async fn sha256(&self, bytes: &str) -> String {
        let row = self
            .sql
            .query_one(
                "SELECT encode(sha256(convert_to($1, 'UTF8')), 'hex')",
                &[&bytes],
            )
            .await;
        row.unwrap().get(0)
    }

    /// A distribution; `column` names what it serves. Gives its id.
    pub async fn distribute(&self, base_path: &str, column: &str, id: &str) -> String {
        self.made(&format!("INSERT INTO distribution (pulp_id, pulp_domain, pulp_type, name, base_path, {column}) \
                   VALUES (gen_random_uuid(), {DOMAIN}, 'file.file', '{base_path}', '{base_path}', '{id}') \
                  "
            ))
            .await
    }

    /// GET of a path below the prefix.
    pub async fn content(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[]).await
    }

    pub async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let path = format!("{PREFIX}{path}");
        let request = headers.iter().fold(
            self.app.anonymous(method, &path),
            |request, (name, value)| request.header(*name, *value),
        );
        self.app.send(request).await
    }

    /// Sends a request target as it is; gives the whole answer as text.
    pub async fn raw(&self, target: &str) -> String {
        raw(self.app.origin(), target).await
    }
}

pub async fn raw(origin: &str, target: &str) -> String {
    let address = origin.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

pub fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer
        .headers
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}
