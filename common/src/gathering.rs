//! Callers that come at the same time act together: one of them acts for all that have come by the time the one before
//! has acted. Who comes alone does not wait for others.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Tasks of one transaction at most: more go in the next one.
const MOST: usize = 64;

/// Whose turn does not come within so long acts alone: the transaction of the others may wait for something that is none of
/// its business.
const PATIENCE: Duration = Duration::from_millis(50);

/// A transaction of several is given up with its session when it takes longer: they wait for it.
pub const LONGEST: Duration = Duration::from_secs(6);

struct Waiting<T, A> {
    number: u64,
    item: T,
    answer: oneshot::Sender<A>,
}

struct Queue<T, A> {
    next: u64,
    waiting: Vec<Waiting<T, A>>,
}

/// Those of this process that wait to act: each brings an item, and gets an answer.
pub struct Gathering<T, A> {
    queue: Mutex<Queue<T, A>>,
    turn: tokio::sync::Mutex<()>,
    most: usize,
    patience: Duration,
}

/// What a caller is to do.
pub enum Role<'a, T, A> {
    /// Nothing: another one has acted for it.
    Answered(A),
    /// Another one took it along, and gave no answer: it may have acted.
    Unheard,
    /// To act by itself, alone: its turn did not come in time.
    Late,
    /// To act for itself and for who comes.
    Leads(Leader<'a, T, A>),
}

/// Whose turn it is. All others wait while this lives, or go their own way.
pub struct Leader<'a, T, A> {
    gathering: &'a Gathering<T, A>,
    mine: T,
    turn: tokio::sync::MutexGuard<'a, ()>,
}

/// The turn of one that acts alone, until this is dropped.
pub struct Turn<'a> {
    _turn: tokio::sync::MutexGuard<'a, ()>,
}

/// Those that one acts for. Who gets no answer hears that ([`Role::Unheard`]).
pub struct Party<'a, T, A> {
    items: Vec<T>,
    others: Vec<oneshot::Sender<A>>,
    _turn: tokio::sync::MutexGuard<'a, ()>,
}

/// A seat in the queue, which goes with its caller.
struct Seat<'a, T, A> {
    gathering: &'a Gathering<T, A>,
    number: u64,
}

impl<T, A> Default for Gathering<T, A> {
    /// As many at most, and as patient, as suits requests, claims and endings alike.
    fn default() -> Self {
        Self::new(MOST, PATIENCE)
    }
}

impl<T, A> Gathering<T, A> {
    /// Parties of at most so many. Who has waited for its turn for as long as its patience lasts goes its own way, as the one
    /// before it may wait for something that is none of its business.
    #[must_use]
    pub fn new(most: usize, patience: Duration) -> Self {
        Self {
            queue: Mutex::new(Queue {
                next: 0,
                waiting: Vec::new(),
            }),
            turn: tokio::sync::Mutex::default(),
            most,
            patience,
        }
    }

    /// Takes the turn where it is free and nobody waits for it: for who is to act alone then. Those that come meanwhile gather.
    #[must_use]
    pub fn take_turn(&self) -> Option<Turn<'_>> {
        let turn = self.turn.try_lock().ok()?;
        Some(Turn { _turn: turn })
    }

    /// Joins those that act now. Where the caller goes before it has a turn, nothing is done for it unless another one has
    /// taken it along.
    pub async fn join(&self, item: T) -> Role<'_, T, A> {
        let (answer, mut answered) = oneshot::channel();
        let seat = self.enter(item, answer);
        let turn = tokio::select! {
            biased;
            answer = &mut answered => return answer.map_or(Role::Unheard, Role::Answered),
            turn = timeout(self.patience, self.turn.lock()) => turn.ok(),
        };
        // Who is not there any more has been taken along by another one, who answers.
        match (seat.leave(), turn) {
            (Some(mine), Some(turn)) => Role::Leads(Leader {
                gathering: self,
                mine: mine.item,
                turn,
            }),
            (Some(_), None) => Role::Late,
            (None, turn) => {
                drop(turn);
                answered.await.map_or(Role::Unheard, Role::Answered)
            }
        }
    }

    fn enter(&self, item: T, answer: oneshot::Sender<A>) -> Seat<'_, T, A> {
        let mut queue = self.queue();
        let number = queue.next;
        queue.next += 1;
        queue.waiting.push(Waiting {
            number,
            item,
            answer,
        });
        Seat {
            gathering: self,
            number,
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue<T, A>> {
        // It is whole between any two of the calls that lock it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a, T, A> Leader<'a, T, A> {
    /// Takes those along that have come, the first ones first. To be called as late as can be: who comes meanwhile is
    /// taken, too.
    #[must_use]
    pub fn gather(self) -> Party<'a, T, A> {
        let mut queue = self.gathering.queue();
        let many = queue.waiting.len().min(self.gathering.most.max(1) - 1);
        let (mut items, mut others) = (vec![self.mine], Vec::with_capacity(many));
        for one in queue.waiting.drain(..many) {
            items.push(one.item);
            others.push(one.answer);
        }
        drop(queue);
        Party {
            items,
            others,
            _turn: self.turn,
        }
    }
}

impl<T, A> Party<'_, T, A> {
    /// What they bring; the first is the leader's own.
    #[must_use]
    pub fn items(&self) -> &[T] {
        &self.items
    }

    /// Gives each its answer, in the order of the items; returns the leader's own.
    pub fn answer(self, answers: impl IntoIterator<Item = A>) -> Option<A> {
        let mut answers = answers.into_iter();
        let own = answers.next();
        for (other, answer) in self.others.into_iter().zip(answers) {
            // Who has gone needs none.
            let _ = other.send(answer);
        }
        own
    }
}

impl<T, A> Seat<'_, T, A> {
    /// `None`: another one has taken it along.
    fn leave(&self) -> Option<Waiting<T, A>> {
        let mut queue = self.gathering.queue();
        let is_own = |one: &Waiting<T, A>| one.number == self.number;
        let place = queue.waiting.iter().position(is_own)?;
        Some(queue.waiting.remove(place))
    }
}

impl<T, A> Drop for Seat<'_, T, A> {
    fn drop(&mut self) {
        drop(self.leave());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::task::{JoinHandle, yield_now};

    type Numbers = Gathering<u32, u32>;

    fn gathering(most: usize) -> Arc<Numbers> {
        Arc::new(Gathering::new(most, Duration::from_secs(3600)))
    }

    async fn lead(numbers: &Numbers, item: u32) -> Leader<'_, u32, u32> {
        match numbers.join(item).await {
            Role::Leads(leader) => leader,
            _ => panic!("{item} does not lead"),
        }
    }

    /// Joins; doubles what it gathers if it leads. Its answer, and how many acted with it.
    fn joins(numbers: &Arc<Numbers>, item: u32) -> JoinHandle<(Option<u32>, usize)> {
        let numbers = Arc::clone(numbers);
        tokio::spawn(async move {
            match numbers.join(item).await {
                Role::Answered(answer) => (Some(answer), 0),
                Role::Unheard => (None, 0),
                Role::Late => (None, 0),
                Role::Leads(leader) => {
                    let party = leader.gather();
                    let answers: Vec<u32> = party.items().iter().map(|item| item * 2).collect();
                    (party.answer(answers.clone()), answers.len())
                }
            }
        })
    }

    async fn come(numbers: &Arc<Numbers>, items: &[u32]) -> Vec<JoinHandle<(Option<u32>, usize)>> {
        let mut joined = Vec::new();
        for item in items {
            joined.push(joins(numbers, *item));
            yield_now().await;
        }
        joined
    }

    #[tokio::test]
    async fn who_comes_alone_acts_alone() {
        let numbers = gathering(8);
        let party = lead(&numbers, 1).await.gather();
        assert_eq!(party.items(), [1]);
        assert_eq!(party.answer([7]), Some(7));
    }

    #[tokio::test]
    async fn those_that_come_meanwhile_act_together_up_to_so_many() {
        let numbers = gathering(3);
        let leader = lead(&numbers, 1).await;
        let joined = come(&numbers, &[2, 3, 4, 5, 6]).await;
        let party = leader.gather();
        assert_eq!(party.items(), [1, 2, 3]);
        assert_eq!(party.answer([10, 20, 30]), Some(10));
        let mut answers = Vec::new();
        for one in joined {
            answers.push(one.await.unwrap());
        }
        let all: Vec<_> = answers.iter().map(|(answer, _)| *answer).collect();
        assert_eq!(all, [20, 30, 8, 10, 12].map(Some));
        let acts: Vec<_> = answers.iter().map(|(_, count)| *count).collect();
        assert_eq!(acts, [0, 0, 3, 0, 0]);
    }

    #[tokio::test]
    async fn who_is_taken_along_by_one_that_fails_hears_nothing() {
        let numbers = gathering(8);
        let leader = lead(&numbers, 1).await;
        let joined = come(&numbers, &[2]).await;
        drop(leader.gather());
        for one in joined {
            assert_eq!(one.await.unwrap(), (None, 0));
        }
        // The turn has been given back.
        lead(&numbers, 3).await;
    }

    #[tokio::test]
    async fn who_goes_before_its_turn_is_not_taken_along() {
        let numbers = gathering(8);
        let leader = lead(&numbers, 1).await;
        for one in come(&numbers, &[2, 3]).await {
            one.abort();
            assert!(one.await.is_err());
        }
        assert_eq!(leader.gather().items(), [1]);
    }

    #[tokio::test]
    async fn who_acts_alone_takes_a_turn_that_is_free_and_no_other() {
        let numbers = gathering(8);
        let turn = numbers.take_turn().unwrap();
        assert!(numbers.take_turn().is_none());
        drop(turn);
        assert!(numbers.take_turn().is_some());
    }

    #[tokio::test]
    async fn those_that_come_while_one_acts_alone_act_together_after_it() {
        let numbers = gathering(8);
        let turn = numbers.take_turn().unwrap();
        let joined = come(&numbers, &[1, 2]).await;
        drop(turn);
        let mut acts = Vec::new();
        for one in joined {
            acts.push(one.await.unwrap().1);
        }
        assert_eq!(acts, [2, 0]);
    }

    #[tokio::test]
    async fn who_waits_for_too_long_goes_its_own_way() {
        let numbers: Arc<Numbers> = Arc::new(Gathering::new(8, Duration::from_millis(5)));
        let leader = lead(&numbers, 1).await;
        assert!(matches!(numbers.join(2).await, Role::Late));
        assert_eq!(leader.gather().items(), [1]);
    }
}
