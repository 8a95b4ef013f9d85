//! What a base path serves at this moment, asked for many requests at once.
//!
//! An answer is only ever given to requests that had arrived before it was asked for: so each sees what
//! was committed when it came, and nobody has to be told of a change. While a question is under way the
//! requests that come wait for the next one, so there is one at a time on each thread, whatever the load.

use super::Problem;
use millrace_common::db::Db;
use millrace_common::error::Error;
use millrace_common::ids::DomainId;
use millrace_common::models::Served;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Base paths that a thread keeps in mind; they are only a hint where to look.
const KNOWN: usize = 10_000;

/// Base paths in one question.
const AT_ONCE: usize = 500;

type Answer = Result<Option<Rc<Served>>, Arc<Error>>;

/// The questions of one thread.
pub struct Places {
    db: Db,
    state: Rc<RefCell<State>>,
}

#[derive(Default)]
struct State {
    known: HashSet<Rc<str>>,
    waiting: Vec<(Rc<str>, oneshot::Sender<Answer>)>,
    asking: bool,
}

impl Places {
    /// Nothing is known yet.
    pub fn new(db: Db) -> Self {
        Self {
            db,
            state: Rc::default(),
        }
    }

    /// The distribution that a path belongs to now, and what it serves.
    ///
    /// # Errors
    /// As the database.
    pub async fn serving(&self, path: &str) -> Result<Option<Rc<Served>>, Problem> {
        let known = self.known(path);
        if let Some(place) = known {
            if let Some(served) = self.ask(place.clone()).await? {
                return Ok(Some(served));
            }
            self.state.borrow_mut().known.remove(&place);
        }
        self.look(path).await
    }

    fn known(&self, path: &str) -> Option<Rc<str>> {
        let known = &self.state.borrow().known;
        if known.is_empty() {
            return None;
        }
        path.match_indices('/')
            .filter_map(|(at, slash)| path.get(..at + slash.len()))
            .find_map(|place| known.get(place).cloned())
    }

    async fn look(&self, path: &str) -> Result<Option<Rc<Served>>, Problem> {
        let mut conn = self.db.get().await?;
        let found = if path.ends_with('/') {
            Served::around(&mut conn, DomainId::DEFAULT, path).await?
        } else {
            Served::around(&mut conn, DomainId::DEFAULT, &format!("{path}/")).await?
        };
        let found = found.map(Rc::new);
        if let Some(served) = &found {
            let known = &mut self.state.borrow_mut().known;
            if known.len() >= KNOWN {
                known.clear();
            }
            known.insert(served.place.as_str().into());
        }
        Ok(found)
    }

    async fn ask(&self, place: Rc<str>) -> Result<Option<Rc<Served>>, Problem> {
        let (sender, receiver) = oneshot::channel();
        let idle = {
            let state = &mut *self.state.borrow_mut();
            state.waiting.push((place, sender));
            !std::mem::replace(&mut state.asking, true)
        };
        if idle {
            let asking = Asking(Rc::clone(&self.state));
            actix_web::rt::spawn(asking.run(self.db.clone()));
        }
        let answer = receiver.await.map_err(Problem::internal)?;
        Ok(answer?)
    }
}

/// The right to ask; given back however it ends.
struct Asking(Rc<RefCell<State>>);

impl Drop for Asking {
    fn drop(&mut self) {
        let state = &mut *self.0.borrow_mut();
        state.asking = false;
        // Whoever waits hears that nobody will answer.
        state.waiting.clear();
    }
}

impl Asking {
    async fn run(self, db: Db) {
        loop {
            let waiting = {
                let state = &mut *self.0.borrow_mut();
                let next = state.waiting.len().min(AT_ONCE);
                state.waiting.drain(..next).collect::<Vec<_>>()
            };
            if waiting.is_empty() {
                return;
            }
            let answers = question(&db, &waiting).await.map_err(Arc::new);
            for (place, sender) in waiting {
                let answer = match &answers {
                    Ok(served) => Ok(served.get(&*place).cloned()),
                    Err(error) => Err(Arc::clone(error)),
                };
                // Gone: the client of that request has left.
                let _ = sender.send(answer);
            }
        }
    }
}

async fn question(
    db: &Db,
    waiting: &[(Rc<str>, oneshot::Sender<Answer>)],
) -> Result<HashMap<String, Rc<Served>>, Error> {
    let places: BTreeSet<&str> = waiting.iter().map(|(place, _)| &**place).collect();
    let places: Vec<&str> = places.into_iter().collect();
    let mut conn = db.get().await?;
    let found = Served::at(&mut conn, DomainId::DEFAULT, &places).await?;
    Ok(found
        .into_iter()
        .map(|served| (served.place.clone(), Rc::new(served)))
        .collect())
}
