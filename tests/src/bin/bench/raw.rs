//! The raw limits of the servers: a task as plain SQL, and messages that are published
//! and consumed.

use crate::figures::rate;
use crate::{SLOTS, WORKERS};
use anyhow::Context;
use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use millrace_tests::{TestApp, TestDb, Vhost, stack};
use std::process::Command;
use std::time::Instant;
use tokio::task::JoinSet;

/// What pgbench does for each task.
#[derive(Clone, Copy)]
pub enum Script {
    /// One bare row: inserted, claimed, finished.
    Bare,
    /// The rows of a task that does nothing.
    Task,
    /// The rows of a task that adds one unit to a repository.
    Modify,
    /// What Millrace itself sends for a task that does nothing, in one session: no API, no broker, no worker.
    EngineTask,
    /// The same for one that adds a unit.
    EngineModify,
}

impl Script {
    fn is_ours(self) -> bool {
        matches!(self, Self::EngineTask | Self::EngineModify)
    }
}

/// The text of [`Script::EngineModify`]: statements of Millrace, with values in place of their parameters.
fn engine_modify() -> String {
    let unit = "ARRAY[:unit]::uuid[]";
    let domain = "'00000000-0000-7000-8000-000000000001'::uuid";
    let (repository, number) = (":repository::uuid", ":number::integer");
    let fill = |statement: &str, values: &[&str]| {
        let lines = statement.lines();
        let lines: Vec<&str> = lines
            .filter(|line| !line.trim_start().starts_with("--"))
            .collect();
        let mut text = lines.join("\n").replace("[1:i]", "[1 : i]");
        for (n, value) in values.iter().enumerate().rev() {
            text = text.replace(&format!("${}", n + 1), value);
        }
        text + ";"
    };
    let version = [
        "nullif(:previous, '')::uuid",
        "ARRAY['added']",
        "ARRAY['file.file']",
        "ARRAY[1]::bigint[]",
        ":version::uuid",
        repository,
        number,
    ];
    include_str!("sql/engine_modify.sql")
        .replace(
            "{add}",
            &fill(MODELS_ADD, &[repository, number, unit, domain]),
        )
        .replace(
            "{rivals}",
            &fill(MODELS_RIVALS, &[repository, unit, "false"]),
        )
        .replace(
            "{path_conflicts}",
            &fill(MODELS_PATH_CONFLICTS, &[repository, unit]),
        )
        .replace("{insert_complete}", &fill(MODELS_INSERT_COMPLETE, &version))
}

const MODELS_ADD: &str = include_str!("../../../../common/src/models/repository_content/add.sql");
const MODELS_RIVALS: &str =
    include_str!("../../../../common/src/models/repository_content/rivals.sql");
const MODELS_PATH_CONFLICTS: &str =
    include_str!("../../../../common/src/models/repository_content/path_conflicts.sql");
const MODELS_INSERT_COMPLETE: &str = concat!(
    include_str!("../../../../common/src/models/repository_version/insert_complete.sql"),
    include_str!("../../../../common/src/models/repository_version/count_done.sql")
);

/// Seconds of each run.
const SECONDS: &str = "8";
const MESSAGES: usize = 20_000;

/// Tasks a second that as many clients as there are slots get through.
///
/// # Errors
/// pgbench that does not run.
pub async fn pgbench(app: &TestApp, script: Script) -> anyhow::Result<f64> {
    // A database of its own, as other rows are in the way otherwise.
    let db = TestDb::create_on(stack::database_url()).await;
    let sql = db.sql().await;
    sql.run(if script.is_ours() {
        include_str!("sql/engine_setup.sql")
    } else {
        include_str!("sql/peer_tables.sql")
    })
    .await;
    sql.run("ANALYZE").await;
    let text = match script {
        Script::Bare => include_str!("sql/peer_bare.sql").to_owned(),
        Script::Task => include_str!("sql/peer_task.sql").to_owned(),
        Script::Modify => include_str!("sql/peer_modify.sql").to_owned(),
        Script::EngineTask => include_str!("sql/engine_task.sql").to_owned(),
        Script::EngineModify => engine_modify(),
    };
    let file = app.dir().join("pgbench.sql");
    std::fs::write(&file, text)?;
    let clients = (WORKERS * SLOTS as usize).to_string();
    let mut command = Command::new(stack::pg_bin().join("pgbench"));
    command
        .args(["-n", "-M", "prepared", "-T", SECONDS, "-j", "2", "-c"])
        .arg(&clients)
        .arg("-f")
        .arg(&file)
        .arg(db.url());
    // Without JIT, as the sessions of Millrace are: what `enable_seqscan=off` adds to the cost of a plan would have it compiled each
    // time. The other scripts, too, so that all are alike.
    let mut settings = "-c jit=off".to_owned();
    if script.is_ours() {
        // As in a brief transaction.
        settings += " -c plan_cache_mode=force_generic_plan -c enable_seqscan=off";
    }
    command.env("PGOPTIONS", settings);
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{text}{error}");
    let line = text.lines().find(|line| line.starts_with("tps = "));
    let line = line.with_context(|| format!("{text}{error}"))?;
    let figure = line.split_whitespace().nth(2).context("no figure")?;
    Ok(figure.parse()?)
}

/// Messages a second through a quorum queue, each confirmed to who published it and acknowledged by who consumed it;
/// as many of both as there are slots, with one message each at a time.
///
/// # Errors
/// A broker that does not do it.
pub async fn messages() -> anyhow::Result<f64> {
    let vhost = Vhost::create().await;
    let queue = "peer";
    let connect = async || Connection::connect(&vhost.url(), ConnectionProperties::default()).await;
    let (publishing, consuming) = (connect().await?, connect().await?);
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("quorum".into()),
    );
    let durable = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    let channel = publishing.create_channel().await?;
    channel
        .queue_declare(queue.into(), durable, arguments)
        .await?;
    let slots = WORKERS * SLOTS as usize;
    let (seen, mut count) = tokio::sync::mpsc::unbounded_channel();
    let mut consumers = JoinSet::new();
    for n in 0..slots {
        let channel = consuming.create_channel().await?;
        channel.basic_qos(1, BasicQosOptions::default()).await?;
        let tag = format!("slot-{n}");
        let mut deliveries = channel
            .basic_consume(
                queue.into(),
                tag.as_str().into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await?;
        let seen = seen.clone();
        consumers.spawn(async move {
            while let Some(Ok(delivery)) = deliveries.next().await {
                if delivery.ack(BasicAckOptions::default()).await.is_err() || seen.send(()).is_err()
                {
                    break;
                }
            }
        });
    }
    let start = Instant::now();
    let mut publishers = JoinSet::new();
    for _ in 0..slots {
        let channel = publishing.create_channel().await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        publishers.spawn(async move {
            for _ in 0..MESSAGES / slots {
                let properties = BasicProperties::default().with_delivery_mode(2);
                let options = BasicPublishOptions::default();
                channel
                    .basic_publish("".into(), queue.into(), options, &[b'x'; 400], properties)
                    .await?
                    .await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = publishers.join_next().await {
        done??;
    }
    let sent = MESSAGES / slots * slots;
    for _ in 0..sent {
        count.recv().await.context("the consumers ended")?;
    }
    let figure = rate(sent, start.elapsed());
    consumers.abort_all();
    Ok(figure)
}
