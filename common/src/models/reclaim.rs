//! Taking the files of units away, page by page.

use super::plan::go_in_order;
use crate::db::Conn;
use crate::ids::{ArtifactId, ContentId, DomainId, RepositoryId};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

/// Whose files reclaim takes: units that are in these repositories and in no other one, of types that may
/// lose their files.
#[derive(Clone, Debug)]
pub struct Reclaim {
    /// The domain.
    pub domain: DomainId,
    /// The repositories.
    pub repositories: Vec<RepositoryId>,
    /// Types that may lose their files.
    pub types: Vec<String>,
    /// What these versions hold keeps its files: repository and number, a pair a version.
    pub kept: Vec<(RepositoryId, i32)>,
    /// True: files that no remote has go too.
    pub force: bool,
}

/// The next units of a repository whose files may go.
#[derive(Clone, Debug, QueryableByName)]
pub struct ReclaimPage {
    /// The last unit that was looked at; `None`: the repository has no more.
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub last: Option<Uuid>,
    /// How many units may lose their files.
    #[diesel(sql_type = BigInt)]
    pub found: i64,
    /// Those of them that are locked now.
    #[diesel(sql_type = Array<SqlUuid>)]
    pub locked: Vec<Uuid>,
}

/// A file that a unit has lost.
#[derive(Clone, Debug, QueryableByName)]
pub struct Detached {
    /// The unit.
    #[diesel(sql_type = SqlUuid)]
    pub content_id: ContentId,
    /// Its type.
    #[diesel(sql_type = Text)]
    pub pulp_type: String,
    /// The artifact, which other units may have too.
    #[diesel(sql_type = SqlUuid)]
    pub artifact_id: ArtifactId,
}

impl Reclaim {
    /// How many artifacts the units of the repositories have: the most that may go. What goes is known after the last
    /// page; to ask before costs as much as half of the work.
    ///
    /// # Errors
    /// As the session.
    pub async fn most(&self, conn: &mut Conn) -> QueryResult<i64> {
        #[derive(QueryableByName)]
        struct Most {
            #[diesel(sql_type = BigInt)]
            files: i64,
        }
        let most: Most = sql_query(include_str!("reclaim_most.sql"))
            .bind::<Array<SqlUuid>, _>(self.repositories())
            .get_result(conn)
            .await?;
        Ok(most.files)
    }

    /// Looks at the next `limit` memberships of a repository behind this unit, and locks the units whose
    /// files may go, against whoever begins to need one of them. What somebody has locked is left out. Look
    /// again, with [`Reclaim::detach`].
    ///
    /// # Errors
    /// As the session.
    pub async fn lock(
        &self,
        conn: &mut Conn,
        repository: RepositoryId,
        behind: Uuid,
        limit: i64,
    ) -> QueryResult<ReclaimPage> {
        let (kept, numbers) = self.kept();
        go_in_order(conn).await?;
        sql_query(include_str!("reclaim.sql"))
            .bind::<SqlUuid, _>(repository)
            .bind::<SqlUuid, _>(behind)
            .bind::<BigInt, _>(limit)
            .bind::<SqlUuid, _>(self.domain)
            .bind::<Array<SqlUuid>, _>(self.repositories())
            .bind::<Array<Text>, _>(&self.types)
            .bind::<Array<SqlUuid>, _>(kept)
            .bind::<Array<Integer>, _>(numbers)
            .bind::<Bool, _>(self.force)
            .get_result(conn)
            .await
    }

    /// Takes the files of locked units away, of those that nobody needs by now. The units stay.
    ///
    /// # Errors
    /// As the session.
    pub async fn detach(&self, conn: &mut Conn, units: &[Uuid]) -> QueryResult<Vec<Detached>> {
        sql_query(include_str!("reclaim_detach.sql"))
            .bind::<Array<SqlUuid>, _>(units)
            .bind::<Array<SqlUuid>, _>(self.repositories())
            .bind::<Bool, _>(self.force)
            .load(conn)
            .await
    }

    pub(super) fn repositories(&self) -> Vec<Uuid> {
        self.repositories.iter().map(|id| id.0).collect()
    }

    pub(super) fn kept(&self) -> (Vec<Uuid>, Vec<i32>) {
        self.kept.iter().map(|(id, number)| (id.0, *number)).unzip()
    }
}
