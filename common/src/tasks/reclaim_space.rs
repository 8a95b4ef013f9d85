//! Giving up files that can be fetched again (contract 3.3).

use super::disposal::{Account, BATCH, Count, Disposal, count};
use super::hands::{Cursor, Hand, Hands};
use crate::content::ContentTypes;
use crate::db::Conn;
use crate::error::Error;
use crate::ids::{ArtifactId, DomainId, RepositoryId, VersionId};
use crate::models::{
    Artifact, Detached, Reclaim, Repository, RepositoryVersion, Tombstone, disposable,
};
use crate::prn;
use crate::storage::tombstones::unlink_beside;
use crate::tasking::{Outcome, Progress, Resources, Task, TaskContext, TaskError};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::join;
use tokio::sync::Mutex;
use uuid::Uuid;

/// Versions of a keep list: each is looked up, and every unit is looked for in each.
pub const MOST_KEPT: usize = 1000;

/// Removes the files of units that are in the given repositories and in no other one, in whichever version. The
/// units stay; the next download fetches the file again. Units of a protected type, of a version that is to
/// be kept, and of which no remote has the file keep theirs. What somebody uses at that moment is skipped
/// and counted. Safe to run again after dying anywhere; the result is that of all runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReclaimSpace {
    /// The repositories.
    pub repo_pks: Vec<RepositoryId>,
    /// What these versions hold keeps its files; they may be of any repository.
    #[serde(default)]
    pub keeplist_rv_pks: Option<Vec<VersionId>>,
    /// True: files that no remote has go too. They are lost.
    #[serde(default)]
    pub force: bool,
    /// True: says what would go, and nothing does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

impl Task for ReclaimSpace {
    const NAME: &'static str = "pulpcore.app.tasks.reclaim_space.reclaim_space";
    const ARGS: &'static [&'static str] = &["repo_pks", "keeplist_rv_pks", "force", "dry_run"];
    const CLASS: &'static str = "storage";
    const RERUN_AFTER_LOSS: bool = true;

    /// Those who read files without a reservation of their repository, as exports do, share this one.
    fn resources(&self) -> Resources {
        Resources::exclusive(prn::reclaim_space(DomainId::DEFAULT))
    }

    fn validate(&self) -> Result<(), Error> {
        let kept = self.keeplist_rv_pks.as_ref().map_or(0, Vec::len);
        if kept <= MOST_KEPT {
            return Ok(());
        }
        let message = format!("Ensure this field has no more than {MOST_KEPT} elements.");
        Err(Error::invalid("keeplist_rv_pks", message))
    }

    async fn run(self, ctx: TaskContext) -> Result<Outcome, TaskError> {
        let keep = self.keeplist_rv_pks.as_deref();
        if !self.dry_run {
            return reclaim_space(&ctx, &self.repo_pks, keep, self.force).await;
        }
        let reclaim = selection(&ctx, &self.repo_pks, keep, self.force).await?;
        let count = async {
            let mut conn = ctx.session().await;
            Ok(disposable::reclaimable(&mut conn, &reclaim).await?)
        };
        let found = ctx.unless_stopped(count).await?;
        Ok(Outcome::result(json!(Disposal::dry(found))))
    }
}

/// Removes the files of units exclusive to these repositories, within the task that calls it; the outcome holds
/// what went as the result (seed: `reclaim_space`). Once a task. The task must hold the lane of [`prn::reclaim_space`], and
/// share the repositories.
///
/// # Errors
/// A text for the client where a version is not there; else as [`TaskContext::fenced`]. What was removed until
/// then stays removed.
pub async fn reclaim_space(
    ctx: &TaskContext,
    repo_pks: &[RepositoryId],
    keeplist_rv_pks: Option<&[VersionId]>,
    force: bool,
) -> Result<Outcome, TaskError> {
    let reclaim = selection(ctx, repo_pks, keeplist_rv_pks, force).await?;
    let account = Account::of(ctx, "reclaim_space");
    let counted = async {
        let mut conn = ctx.session().await;
        Ok(reclaim.most(&mut conn).await?)
    };
    let most = account.first("artifacts at most", counted).await?;
    let mut progress = ctx
        .progress("Reclaim disk space", "reclaim-space.artifact", Some(most))
        .await?;
    progress.resume(account.counted(Count::Artifacts).await?);
    let mut hands = Hands::of(ctx, most).await;
    let mut passed_over = false;
    for repository in &reclaim.repositories {
        let passed = pass(&account, &reclaim, *repository, &mut hands, &mut progress);
        passed_over |= passed.await?;
    }
    drop(hands);
    let mut skipped = account.counted(Count::Skipped).await?;
    if passed_over {
        let left = async {
            let mut conn = ctx.session().await;
            let left = disposable::reclaimable(&mut conn, &reclaim).await?;
            Ok(Disposal::dry(left).artifacts)
        };
        skipped += ctx.unless_stopped(left).await?;
    }
    let total = progress.done() + skipped;
    progress.finish_with(total).await?;
    account.close("reclaim-space", skipped).await
}

async fn selection(
    ctx: &TaskContext,
    repo_pks: &[RepositoryId],
    keeplist_rv_pks: Option<&[VersionId]>,
    force: bool,
) -> Result<Reclaim, TaskError> {
    let mut conn = ctx.session().await;
    let mut kept = Vec::new();
    for id in keeplist_rv_pks.unwrap_or_default() {
        let found = RepositoryVersion::find(&mut conn, *id).await?;
        let version = found.ok_or(Error::NotFound {
            what: "RepositoryVersion",
        })?;
        kept.push((version.repository_id, version.number));
    }
    let kept_in = kept.iter().map(|(repository, _)| *repository);
    let named: Vec<RepositoryId> = repo_pks.iter().copied().chain(kept_in).collect();
    let types = Repository::types(&mut conn, &named).await?;
    drop(conn);
    let needed = types
        .iter()
        .map(|(id, pulp_type)| prn::repository(pulp_type, *id))
        .fold(Resources::default(), Resources::and_shared)
        .and_exclusive(prn::reclaim_space(ctx.domain()));
    ctx.require(&needed)?;
    let repositories: BTreeSet<RepositoryId> = repo_pks.iter().copied().collect();
    Ok(Reclaim {
        domain: ctx.domain(),
        repositories: repositories.into_iter().collect(),
        types: ContentTypes::of(ctx.registry())?.reclaimable(),
        kept,
        force,
    })
}

/// Says whether units were passed over, as somebody had them at that moment.
async fn pass(
    account: &Account<'_>,
    reclaim: &Reclaim,
    repository: RepositoryId,
    hands: &mut Hands<'_>,
    progress: &mut Progress,
) -> Result<bool, TaskError> {
    let pages = Pages {
        ctx: account.ctx(),
        account,
        reclaim,
        repository,
        cursor: Cursor::at(Uuid::nil()),
        turn: Arc::default(),
        progress: Mutex::new(progress),
    };
    let other = async {
        match &mut hands.other {
            Some(hand) => pages.give_up(hand).await,
            None => Ok(false),
        }
    };
    // Neither is dropped in the middle of its page.
    let (one, other) = join!(pages.give_up(&mut hands.one), other);
    Ok(one? | other?)
}

/// Those of a repository, a hand each.
struct Pages<'a> {
    ctx: &'a TaskContext,
    account: &'a Account<'a>,
    reclaim: &'a Reclaim,
    repository: RepositoryId,
    cursor: Cursor<Uuid>,
    /// From the first look at artifacts to the commit: whoever comes second sees that no unit of the first page has an
    /// artifact of both any more.
    turn: Arc<Mutex<()>>,
    progress: Mutex<&'a mut Progress>,
}

/// What became of a page.
struct Page {
    /// True: somebody had a unit of it at that moment.
    some_stay: bool,
    buried: Vec<Tombstone>,
}

impl Pages<'_> {
    /// Takes the files of page by page away. Says whether units were passed over.
    async fn give_up(&self, hand: &mut Hand<'_>) -> Result<bool, TaskError> {
        let passed_over = Box::pin(self.give_up_all(hand)).await;
        if passed_over.is_err() {
            self.cursor.stop().await;
        }
        passed_over
    }

    async fn give_up_all(&self, hand: &mut Hand<'_>) -> Result<bool, TaskError> {
        let ctx = self.ctx;
        let (mut buried, mut passed_over) = (Vec::new(), false);
        loop {
            let gone = count(buried.len());
            let next = self.page(hand);
            let page = unlink_beside(ctx.db(), ctx.storage(), &buried, next).await?;
            self.progress.lock().await.add(gone).await?;
            let Some(page) = page else {
                return Ok(passed_over);
            };
            passed_over |= page.some_stay;
            buried = page.buried;
        }
    }

    /// `None`: nothing is left.
    async fn page(&self, hand: &mut Hand<'_>) -> Result<Option<Page>, TaskError> {
        let Some(start) = self.cursor.start().await else {
            return Ok(None);
        };
        let (reclaim, behind) = (self.reclaim, start.from());
        // The turn is had until the transaction has ended.
        let (start, turn) = (Mutex::new(Some(start)), Mutex::new(None));
        hand.fenced(async |conn| {
            let page = reclaim.lock(conn, self.repository, behind, BATCH).await?;
            if let Some(start) = start.lock().await.take() {
                start.moved(page.last);
            }
            if page.last.is_none() {
                return Ok(None);
            }
            let mut turn = turn.lock().await;
            if turn.is_none() {
                *turn = Some(Arc::clone(&self.turn).lock_owned().await);
            }
            let (lost, buried) = give_up(self.account, conn, reclaim, &page.locked).await?;
            let some_stay = lost < page.found;
            Ok(Some(Page { some_stay, buried }))
        })
        .await
    }
}

/// Takes the files of locked units away, and buries the artifacts that no other unit has. Gives how many units have lost
/// theirs, and the files.
async fn give_up(
    account: &Account<'_>,
    conn: &mut Conn,
    reclaim: &Reclaim,
    units: &[Uuid],
) -> Result<(i64, Vec<Tombstone>), TaskError> {
    if units.is_empty() {
        return Ok((0, Vec::new()));
    }
    let detached = reclaim.detach(conn, units).await?;
    let by_type = units_by_type(&detached);
    let lost = by_type.iter().map(|(_, units)| units).sum();
    account.add_units(conn, by_type).await?;
    let mut artifacts: Vec<ArtifactId> = detached.iter().map(|file| file.artifact_id).collect();
    artifacts.sort_unstable();
    artifacts.dedup();
    let locked = Artifact::lock_unneeded(conn, &artifacts).await?;
    let buried = account.bury(conn, &locked, None).await?;
    if buried.len() < artifacts.len() {
        // Others have locked them, or hold what no query knows of; no further run meets them by their units.
        let skipped = Artifact::count_unneeded(conn, &artifacts).await?;
        account.add(conn, Count::Skipped, skipped).await?;
    }
    Ok((lost, buried))
}

/// A unit counts once, however many files it has lost.
fn units_by_type(detached: &[Detached]) -> Vec<(&str, i64)> {
    let mut units: BTreeMap<&str, BTreeSet<_>> = BTreeMap::new();
    for file in detached {
        units
            .entry(&file.pulp_type)
            .or_default()
            .insert(file.content_id);
    }
    units
        .into_iter()
        .map(|(pulp_type, ids)| (pulp_type, count(ids.len())))
        .collect()
}
