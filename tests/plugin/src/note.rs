//! A content type of its own: text files whose first line is their title. File repositories hold them.

use diesel::QueryableByName;
use diesel::sql_query;
use diesel::sql_types::{Array, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use futures_util::StreamExt;
use millrace_common::content::{ContentType, ContentTypes, FromFile, StoredFile};
use millrace_common::db::Conn;
use millrace_common::error::Error;
use millrace_common::ids::{ContentId, TemporaryFileId};
use millrace_common::models::Content;
use millrace_common::repository::NewVersion;
use millrace_common::tasking::{Needs, Outcome, Registry, Task, TaskContext, TaskError};
use millrace_common::tasks::general_create_from_temp_file;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The type `plugin.note`.
pub struct Note;

/// What is stored of a note.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    title: String,
    digest: String,
    relative_path: String,
}

impl ContentType for Note {
    const DEFINITION: &'static str = r#"{
        "id": "note", "pulp_type": "plugin.note", "display_name": "Note", "description": null,
        "unit_key": ["title", "digest"], "repo_key": ["title"], "repositories": ["file.file"],
        "referenced_types": ["file"]
    }"#;
    type Unit = Unit;

    fn natural_key(unit: &Unit) -> Vec<&str> {
        vec![&unit.title, &unit.digest]
    }

    fn repo_key(unit: &Unit) -> Vec<&str> {
        vec!["note", &unit.title]
    }

    async fn validate_version(
        conn: &mut Conn,
        _version: &NewVersion,
        added: &[ContentId],
    ) -> Result<(), TaskError> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            title: String,
        }
        let secret: Vec<Row> = sql_query(
            "SELECT fields ->> 'title' AS title FROM content \
              WHERE pulp_type = 'plugin.note' AND fields ->> 'title' LIKE 'secret%' AND pulp_id = ANY ($1)",
        )
        .bind::<Array<SqlUuid>, _>(added.iter().map(|id| id.0).collect::<Vec<_>>())
        .load(conn)
        .await?;
        match secret.as_slice() {
            [row, ..] => Err(TaskError::failed(format!(
                "`{}` is not for others",
                row.title
            ))),
            [] => Ok(()),
        }
    }
}

impl FromFile for Note {
    const PULP_TYPE: &'static str = "plugin.note";
    const APP_LABEL: &'static str = "plugin";
    const SERIALIZER: &'static str = "NoteSerializer";
    const NEEDS_PATH: bool = false;
    const PATH_FIELD: &'static str = "relative_path";

    async fn read(
        ctx: &TaskContext,
        file: &StoredFile,
        path: Option<&str>,
    ) -> Result<Unit, TaskError> {
        let first = file
            .read(ctx)
            .await?
            .next()
            .await
            .transpose()?
            .unwrap_or_default();
        let text = String::from_utf8_lossy(&first);
        let title = text.lines().next().unwrap_or_default().trim().to_owned();
        if title.is_empty() {
            return Err(TaskError::failed("A note has a title."));
        }
        Ok(Unit {
            relative_path: path.map_or_else(|| format!("{}.txt", file.sha256), str::to_owned),
            digest: file.sha256.clone(),
            title,
        })
    }

    async fn show(_conn: &mut Conn, unit: Content) -> Result<Value, TaskError> {
        Ok(json!({"title": unit.fields.get("title")}))
    }
}

/// Makes a note of a temporary file, with the body that every plug-in may call.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakeNote {
    file: TemporaryFileId,
}

impl Task for TakeNote {
    const NAME: &'static str = "plugin.tasks.take_note";
    const ARGS: &'static [&'static str] = &["file"];
    const COMPONENT: &'static str = "plugin";
    const RERUN_AFTER_LOSS: bool = true;

    fn needs(&self, registry: &Registry) -> Result<Needs, Error> {
        ContentTypes::of(registry)?.kind("plugin", "NoteSerializer")?;
        Ok(Needs {
            uses: vec![self.file.0],
            ..Needs::of(self)
        })
    }

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        let data = Map::new();
        general_create_from_temp_file(&ctx, "plugin", "NoteSerializer", self.file, data).await
    }
}
