//! Millrace beside pulpcore: the same requests by the same client, to one after the other in the same run.
#![expect(
    clippy::indexing_slicing,
    reason = "a missing field of an answer ends the benchmark"
)]

use crate::figures::{Spread, against};
use crate::pulp::Pulp;
use crate::raw::{Script, pgbench};
use crate::serve::Nginx;
use crate::side::Side;
use crate::storm::{self, Storm};
use crate::{lanes, limits};
use anyhow::Context;
use millrace_common::storage::Hashers;
use millrace_tests::TestApp;
use millrace_tests::memory;
use millrace_tests::paper::Paper;
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// Repositories, and resources, that the requests of a storm go round.
const REPOSITORIES: usize = 200;
/// Units that are added, each to every repository.
const UNITS: usize = 100;
/// Tasks of a storm of ours on many lanes, and on one.
const MANY: usize = 4000;
const ONE: usize = 1000;
/// Changes one after the other on an idle system.
const CALM: usize = 60;
/// Bytes of a file.
const SIZE: usize = 1024;
/// How long each storm, and each run of uploads, goes on at most.
const STORM: Duration = Duration::from_secs(20);
const PEER_STORM: Duration = Duration::from_secs(12);
const UPLOADS: Duration = Duration::from_secs(8);

/// How much a peer does of what ours does more of.
#[derive(Clone, Copy)]
pub struct Share {
    /// Files of our synchronisation, export, reclaim, clean-up.
    pub ours: usize,
    /// Those of the peer.
    pub peer: usize,
}

/// The session that ours is seen through.
///
/// # Errors
/// An API that does not answer.
pub async fn own(app: &TestApp) -> anyhow::Result<Side> {
    Side::log_in("Millrace", app.origin(), "test-password").await
}

struct Tasks {
    latency: Spread,
    many: Storm,
    one: Storm,
}

async fn tasks(paper: &Paper, side: &Side, origin: &str, time: Duration) -> anyhow::Result<Tasks> {
    let url = format!("{origin}/units/PULP_MANIFEST");
    let (pool, _) = side.synced("pool", &url, "on_demand").await?;
    let units = side.units(&pool, UNITS).await?;
    let repositories = storm::repositories(side, "many", REPOSITORIES).await?;
    let many = storm::modify(repositories, units.clone());
    let many = storm::storm(side, MANY, time, many).await?;
    paper.fact(
        side.name,
        &format!("{many}   on {REPOSITORIES} repositories"),
    );
    // After that, as who has just started plans each of his statements for the first time.
    let idle = side.repository("idle").await?;
    let few = units.get(..CALM).unwrap_or(&units);
    let latency = Spread::of_spans(&storm::modify_latency(side, &idle, few).await?);
    paper.fact(side.name, &format!("{latency}   POST to completed, idle"));
    let alone = side.repository("one").await?;
    // All units are added one by one, then removed one by one, and so on: each task changes one.
    let alternating = std::sync::Arc::new(move |n: usize| {
        let unit = units.get(n % units.len());
        let adds = (n / units.len()).is_multiple_of(2);
        let what = if adds {
            "add_content_units"
        } else {
            "remove_content_units"
        };
        (format!("{alone}modify/"), json!({what: [unit]}))
    });
    let one = storm::storm(side, ONE, time / 2, alternating).await?;
    paper.fact(side.name, &format!("{one}   on one repository"));
    Ok(Tasks { latency, many, one })
}

/// `modify` of one unit: latency, on many repositories, on one; beside pulpcore and plain SQL.
///
/// # Errors
/// A server that does not do as it is told; so with all that follow.
pub async fn modify(app: &TestApp, paper: &Paper, peer: bool) -> anyhow::Result<()> {
    paper.heading("`modify` of one unit by REST; 16 clients, 200 repositories");
    let root = app.dir().join("upstream");
    manifest(&root, "units", UNITS)?;
    let nginx = Nginx::start(&root).await?;
    let theirs = match start_peer(paper, peer).await? {
        Some(pulp) => Some(tasks(paper, &pulp.side, &nginx.origin, PEER_STORM).await?),
        None => None,
    };
    let side = own(app).await?;
    let ours = tasks(paper, &side, &nginx.origin, STORM).await?;
    let limit = pgbench(app, Script::Modify).await?;
    let same = pgbench(app, Script::EngineModify).await?;
    if let Some(theirs) = theirs {
        let times = theirs.latency.p50 / ours.latency.p50;
        paper.fact("latency", &format!("{times:.1} times as fast at p50"));
        let many = against(ours.many.ended, "pulpcore", theirs.many.ended);
        paper.fact("many", &many);
        let one = against(ours.one.ended, "pulpcore", theirs.one.ended);
        paper.fact("one", &one);
    }
    paper.fact(
        "",
        &against(
            ours.many.ended,
            "pgbench, the same rows, 200 repositories",
            limit,
        ),
    );
    paper.fact(
        "",
        &against(
            ours.many.ended,
            "pgbench, the same SQL, 192 repositories",
            same,
        ),
    );
    let lane = "name = 'pulpcore.app.tasks.repository.add_and_remove' AND pulp_id IN (
        SELECT t.pulp_id FROM task t, repository r WHERE r.name = 'one'
           AND 'prn:file.filerepository:' || r.pulp_id = ANY (t.reserved_resources_record))";
    paper.fact("hand-over", &lanes::hand_over(app, lane).await.to_string());
    Ok(())
}

/// Tasks that do nothing by REST, on many resources and on one, beside plain SQL.
pub async fn dummies(app: &TestApp, paper: &Paper) -> anyhow::Result<()> {
    paper.heading("Tasks that do nothing by REST; 16 clients");
    let side = own(app).await?;
    let many = storm::storm(&side, MANY, STORM, storm::nothing(REPOSITORIES)).await?;
    let one = storm::storm(&side, ONE, STORM, storm::nothing(1)).await?;
    let same = pgbench(app, Script::EngineTask).await?;
    let rows = pgbench(app, Script::Task).await?;
    let bare = pgbench(app, Script::Bare).await?;
    paper.fact("200 resources", &many.to_string());
    paper.fact(
        "",
        &against(many.ended, "pgbench, the same SQL, 192 resources", same),
    );
    paper.fact(
        "",
        &against(many.ended, "pgbench, the rows of a task", rows),
    );
    paper.fact("", &against(many.ended, "pgbench, a bare row", bare));
    paper.fact(
        "one resource",
        &format!("{:>8.1} /s, {:.1} /s dispatched", one.ended, one.dispatched),
    );
    let newest = format!(
        "name = '{}' AND pulp_id IN (SELECT pulp_id FROM task ORDER BY ticket DESC LIMIT {ONE})",
        crate::engine::DUMMY
    );
    paper.fact(
        "hand-over",
        &lanes::hand_over(app, &newest).await.to_string(),
    );
    Ok(())
}

/// Starts pulpcore where the run compares with it.
async fn start_peer(paper: &Paper, peer: bool) -> anyhow::Result<Option<Pulp>> {
    if !peer {
        return Ok(None);
    }
    Pulp::start(paper).await.map(Some)
}

/// Uploads, beside pulpcore, and what disk and processors give.
pub async fn uploads(app: &TestApp, paper: &Paper, peer: bool) -> anyhow::Result<()> {
    paper.heading("Uploads of 1 MiB by 8 clients");
    // Pulpcore stays until all is measured: its files, deleted, would slow down who makes files next where the file system has no
    // journal.
    let pulp = start_peer(paper, peer).await?;
    let theirs = match &pulp {
        Some(pulp) => Some(storm::uploads(&pulp.side, UPLOADS).await?),
        None => None,
    };
    let written = limits::written(&app.dir().join("written"), UPLOADS / 2)?;
    let ours = storm::uploads(&own(app).await?, UPLOADS).await?;
    let hashed = limits::hashed(UPLOADS / 2)?;
    if let Some(theirs) = theirs {
        paper.fact("uploads", &against(ours, "pulpcore", theirs));
    }
    paper.fact(
        "",
        &against(ours, "written and fsynced by 8 threads", written),
    );
    paper.fact(
        "",
        &against(ours, "hashed with all digests that are on", hashed),
    );
    Ok(())
}

/// How many files, and the milliseconds of each task about them.
struct Files {
    count: usize,
    sync: f64,
    export: f64,
    reclaim: f64,
    clean: f64,
}

impl Files {
    /// Files a second.
    fn rates(&self) -> [(&'static str, f64); 4] {
        let rate = |time: f64| self.count as f64 * 1000.0 / time;
        [
            ("sync, immediate", rate(self.sync)),
            ("export, hardlink", rate(self.export)),
            ("reclaim", rate(self.reclaim)),
            ("orphan clean-up", rate(self.clean)),
        ]
    }
}

/// Repositories that a side has filled.
struct Filled {
    files: String,
    others: String,
    /// Milliseconds.
    sync: f64,
}

/// Fills two repositories with others of the files each.
async fn fill(side: &Side, origin: &str, count: usize) -> anyhow::Result<Filled> {
    let url = |name: &str| format!("{origin}/{name}-{count}/PULP_MANIFEST");
    let (files, sync) = side.synced("files", &url("files"), "immediate").await?;
    let (others, _) = side.synced("others", &url("others"), "immediate").await?;
    Ok(Filled {
        files,
        others,
        sync,
    })
}

/// Measures export, reclaim and clean-up of what was filled.
async fn empty(side: &Side, filled: Filled, count: usize, exports: &Path) -> anyhow::Result<Files> {
    let found = side.get(&filled.files).await?;
    let version = found["latest_version_href"]
        .as_str()
        .context("no version")?;
    let export = export(side, version, exports).await?;
    let body = json!({"repo_hrefs": [filled.files]});
    let reclaim = side.run("repositories/reclaim_space/", &body).await?;
    side.delete(&filled.files).await?;
    // What was reclaimed has no files any more: it goes first, and does not count.
    let all = json!({"orphan_protection_time": 0});
    side.run("orphans/cleanup/", &all).await?;
    side.delete(&filled.others).await?;
    let clean = side.run("orphans/cleanup/", &all).await?;
    Ok(Files {
        count,
        sync: filled.sync,
        export,
        reclaim,
        clean,
    })
}

/// Milliseconds of an export by hardlink.
async fn export(side: &Side, version: &str, exports: &Path) -> anyhow::Result<f64> {
    let path = exports.join("files");
    let body = json!({"name": "files", "path": path, "method": "hardlink"});
    let exporter = side.make("exporters/core/filesystem/", &body).await?;
    let body = json!({"repository_version": version});
    side.run(&format!("{exporter}exports/"), &body).await
}

/// Synchronisation, export, reclaim and clean-up of small files, beside pulpcore.
pub async fn small_files(
    app: &TestApp,
    paper: &Paper,
    share: Share,
    exports: &Path,
    peer: bool,
) -> anyhow::Result<()> {
    paper.heading(&format!(
        "Files of 1 KiB: {} of ours, {} of the peer's",
        share.ours, share.peer
    ));
    let root = app.dir().join("upstream");
    for count in [share.ours, share.peer] {
        for name in ["files", "others"] {
            manifest(&root, &format!("{name}-{count}"), count)?;
        }
    }
    let nginx = Nginx::start(&root).await?;
    let pulp = start_peer(paper, peer).await?;
    let side = own(app).await?;
    // All files are made before any is removed: a file system without a journal walks over all that were freed in the last
    // minutes whenever it makes one.
    let theirs = match &pulp {
        Some(pulp) => Some((pulp, fill(&pulp.side, &nginx.origin, share.peer).await?)),
        None => None,
    };
    let ours = fill(&side, &nginx.origin, share.ours).await?;
    let theirs = match theirs {
        Some((pulp, filled)) => {
            let theirs = empty(&pulp.side, filled, share.peer, &pulp.exports).await?;
            Some((theirs.rates(), memory::resident(&pulp.processes())))
        }
        None => None,
    };
    let ours = empty(&side, ours, share.ours, exports).await?;
    let Some((theirs, (resident, shared))) = theirs else {
        for (what, ours) in ours.rates() {
            paper.fact(what, &format!("{ours:>8.1} /s"));
        }
        return Ok(());
    };
    for ((what, ours), (_, theirs)) in ours.rates().into_iter().zip(theirs) {
        paper.fact(what, &against(ours, "pulpcore", theirs));
    }
    let text = format!("{resident:.0} MiB resident, {shared:.0} with what is shared counted once");
    paper.fact("pulpcore", &text);
    Ok(())
}

/// A directory with so many small files and their manifest.
pub fn manifest(root: &Path, name: &str, count: usize) -> anyhow::Result<()> {
    let dir = root.join(name);
    std::fs::create_dir_all(&dir)?;
    let mut lines = String::new();
    for n in 0..count {
        let bytes = format!("{name}-{n:0>SIZE$}");
        let bytes = bytes.as_bytes();
        let mut hasher = Hashers::new(&["sha256".to_owned()])?;
        hasher.update(bytes);
        let digests = hasher.finish();
        let digest = digests.sha256();
        lines += &format!("file-{n},{digest},{}\n", bytes.len());
        std::fs::write(dir.join(format!("file-{n}")), bytes)?;
    }
    std::fs::write(dir.join("PULP_MANIFEST"), lines)?;
    Ok(())
}
