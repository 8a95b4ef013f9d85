//! The same with ten and with a hundred times the rows: behind the engine's tasks, and in the tables of content.

use crate::content::{modify, page, run_time};
use crate::engine::{DUMMY, dispatch, throughput};
use crate::figures::Spread;
use crate::svg::{Curve, draw};
use crate::{export, lanes, purge, room, sync};
use anyhow::Context;
use millrace_tests::paper::Paper;
use millrace_tests::upstream::Upstream;
use millrace_tests::{Dispatcher, TestApp};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// Finished tasks, tasks behind a lane, units of a repository, files: so many, ten times, a hundred times.
const HISTORY: [i64; 3] = [10_000, 100_000, 1_000_000];
const BEHIND: [usize; 3] = [1000, 10_000, 100_000];
const UNITS: [i64; 3] = [10_000, 100_000, 1_000_000];
const FILES: [usize; 3] = [1000, 10_000, 100_000];

/// The curves, by the name of what grows.
#[derive(Default)]
struct Curves(Vec<Curve>);

impl Curves {
    fn add(&mut self, paper: &Paper, title: &str, along: &str, flat: bool, point: (f64, f64)) {
        paper.fact(along, &format!("{:>9}   {title}: {:.1}", point.0, point.1));
        if let Some(curve) = self
            .0
            .iter_mut()
            .find(|c| c.title == title && c.along == along)
        {
            curve.points.push(point);
            return;
        }
        self.0.push(Curve {
            title: title.to_owned(),
            along: along.to_owned(),
            flat,
            points: vec![point],
        });
    }
}

/// All curves, drawn into this file.
///
/// # Errors
/// A database that cannot be filled, a file that cannot be written.
pub async fn growth(
    app: &TestApp,
    dispatcher: &mut Dispatcher,
    paper: &Paper,
    (file, exports): (&Path, &Path),
    most: i64,
) -> anyhow::Result<()> {
    paper.heading("Growth: with ten and a hundred times the rows");
    let mut curves = Curves::default();
    history(app, dispatcher, paper, &mut curves, most).await?;
    behind(app, dispatcher, paper, &mut curves, most).await;
    linear(app, paper, &mut curves, exports, most).await?;
    units(app, paper, &mut curves, most).await?;
    std::fs::write(file, draw(&curves.0)).with_context(|| file.display().to_string())?;
    paper.fact("drawn", &file.display().to_string());
    Ok(())
}

async fn history(
    app: &TestApp,
    dispatcher: &mut Dispatcher,
    paper: &Paper,
    curves: &mut Curves,
    most: i64,
) -> anyhow::Result<()> {
    const ALONG: &str = "finished tasks";
    for count in HISTORY.into_iter().filter(|count| *count <= most) {
        purge::fill(app, count).await;
        let at = count as f64;
        let latency = lanes::probe(app).await.p50;
        curves.add(paper, "a task alone, ms", ALONG, true, (at, latency));
        let rate = throughput(app, dispatcher, 2000, |n| format!("growth-{count}-{n}")).await;
        curves.add(paper, "tasks a second, many lanes", ALONG, true, (at, rate));
        let name = format!("one-{count}");
        let rate = throughput(app, dispatcher, 400, |_| name.clone()).await;
        curves.add(paper, "tasks a second, one lane", ALONG, true, (at, rate));
        let body = json!({"finished_before": "2021-01-01"});
        let task = app.post("tasks/purge/", &body).await.task();
        let time = run_time(app, &task).await;
        curves.add(paper, "purge, ms", ALONG, false, (at, time));
    }
    Ok(())
}

async fn behind(
    app: &TestApp,
    dispatcher: &mut Dispatcher,
    paper: &Paper,
    curves: &mut Curves,
    most: i64,
) {
    const ALONG: &str = "tasks behind one lane";
    for count in BEHIND {
        if i64::try_from(count).is_ok_and(|count| count > most) {
            continue;
        }
        let at = count as f64;
        let (rate, beside) = lanes::drained(app, dispatcher, count, Duration::from_secs(5)).await;
        curves.add(paper, "a task elsewhere, ms", ALONG, true, (at, beside.p50));
        curves.add(paper, "the lane drains, a second", ALONG, true, (at, rate));
    }
    // What the last has left has no part in what follows.
    dispatch(dispatcher, 1, |_| "growth".to_owned()).await;
    app.quiet(crate::LONG).await;
    let dummies = format!("DELETE FROM task WHERE name = '{DUMMY}' AND finished_at IS NOT NULL");
    app.sql.run(&dummies).await;
}

/// What takes as long as there is much to do.
async fn linear(
    app: &TestApp,
    paper: &Paper,
    curves: &mut Curves,
    exports: &Path,
    most: i64,
) -> anyhow::Result<()> {
    const ALONG: &str = "files";
    let upstream = Upstream::start().await;
    for count in FILES {
        if i64::try_from(count)? > most {
            continue;
        }
        let (at, files) = (count as f64, u64::try_from(count)?);
        let name = format!("growth-{count}");
        empty(app).await?;
        upstream.serve(&format!("/{name}/PULP_MANIFEST"), sync::lines(count));
        let repository = sync::furnish(app, &upstream, &name, "on_demand").await?;
        let time = sync::run(app, &repository).await;
        curves.add(paper, "sync on demand, ms", ALONG, false, (at, time));
        empty(app).await?;
        let version = export::fill(app, &format!("{name}-links"), count, 64).await?;
        let time = export::exported(app, exports, &name, "hardlink", &version).await?;
        std::fs::remove_dir_all(exports.join(&name))?;
        curves.add(paper, "export by hardlink, ms", ALONG, false, (at, time));
        empty(app).await?;
        let repository = room::reclaimable(app, &format!("{name}-kept"), files).await?;
        let time = room::give_up(app, &repository).await;
        curves.add(paper, "reclaim, ms", ALONG, false, (at, time));
        empty(app).await?;
        room::fill(app, &name, files, true).await?;
        let time = room::clean(app).await;
        curves.add(paper, "orphan clean-up, ms", ALONG, false, (at, time));
    }
    Ok(())
}

/// Nothing of what was measured before is in the tables.
async fn empty(app: &TestApp) -> anyhow::Result<()> {
    let all = "TRUNCATE repository, remote, exporter, content, artifact CASCADE";
    Ok(app.sql.batch_execute(all).await?)
}

async fn units(app: &TestApp, paper: &Paper, curves: &mut Curves, most: i64) -> anyhow::Result<()> {
    const ALONG: &str = "units of a repository";
    for count in UNITS.into_iter().filter(|count| *count <= most) {
        empty(app).await?;
        let fill = crate::content::FILL.replace("$units", &count.to_string());
        app.sql.batch_execute(&fill).await?;
        app.sql.batch_execute("VACUUM ANALYZE").await?;
        let id = "SELECT pulp_id FROM repository WHERE name = 'big'";
        let id = app.sql.text(id).await;
        let repository = format!("/pulp/api/v3/repositories/file/file/{id}/");
        let (mut changes, mut pages) = (Vec::new(), Vec::new());
        for n in 0..20 {
            let unit = app
                .unit(&format!("pool/new-{count}-{n}"), &n.to_string())
                .await;
            changes.push(modify(app, &repository, &[unit], &[]).await);
            let version = format!("repository_version={repository}versions/1/&limit=100");
            pages.push(page(app, &format!("{version}&offset={}", n * 100)).await.0);
        }
        let at = count as f64;
        curves.add(
            paper,
            "modify of one unit, ms",
            ALONG,
            true,
            (at, Spread::of(changes).p50),
        );
        curves.add(
            paper,
            "a page of 100 units, ms",
            ALONG,
            true,
            (at, Spread::of(pages).p50),
        );
    }
    Ok(())
}
