//! RabbitMQ: the topology, the messages, one connection to publish and one to consume.
//!
//! A message is a hint that a task may be claimed. Everything here may be lost, doubled or late
//! without harm to a task; what must hold is that a process finds its way back by itself.

mod announcement;
mod connect;
mod consumer;
mod event;
mod inspect;
mod link;
mod liveness;
mod management;
mod message;
mod publisher;
mod topology;
mod view;

pub use announcement::{Announcement, Announcements};
pub use consumer::{Delivered, SlotConsumer};
pub use event::{EventConsumer, TaskEvent};
pub use inspect::{Inspection, inspect};
pub use link::{BrokerError, Link};
pub use management::{Management, ManagementError};
pub use message::{Message, Unreadable};
pub use publisher::Publisher;
pub use topology::{
    DEAD_EXCHANGE, DEAD_QUEUE, DISPATCH_EXCHANGE, EVENTS_EXCHANGE, QueueState, queue_depth,
    queue_of, queue_state,
};
pub use view::BrokerView;
