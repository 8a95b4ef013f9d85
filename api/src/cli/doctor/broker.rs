//! RabbitMQ, by AMQP and by its management API.

use super::report::Report;
use millrace_common::broker::{
    DEAD_EXCHANGE, DEAD_QUEUE, DISPATCH_EXCHANGE, Inspection, Management, inspect, queue_of,
};
use millrace_common::cause::chain;
use millrace_common::config::{QueueType, Settings};
use serde_json::Value;

/// The first version that the tests run on; quorum queues of earlier ones lose messages at times.
const OLDEST: (u32, u32) = (3, 10);
/// RabbitMQ's own limit for an acknowledgement, in seconds.
const CONSUMER_TIMEOUT: u64 = 1800;

/// Looks at the broker.
pub(super) async fn check(settings: &Settings, classes: &[String], report: &mut Report) {
    match inspect(&settings.broker, classes).await {
        Ok(inspection) => {
            report.ok("broker.connection", &settings.broker.url);
            version(&inspection, report);
            topology(&inspection, report);
            consumers(&inspection, report);
            dead_letters(&inspection, report);
        }
        Err(error) => report.fail(
            "broker.connection",
            chain(&error),
            "Start RabbitMQ, or correct broker.url: host, port, user, password and virtual host (/%2F is the default one).",
        ),
    }
    acknowledgement(settings, report);
    management(settings, classes, report).await;
}

fn version(inspection: &Inspection, report: &mut Report) {
    const NAME: &str = "broker.version";
    let Some(version) = &inspection.version else {
        return report.ok(NAME, "not told");
    };
    let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
    let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let seen = format!("RabbitMQ {version}");
    if (major, minor) < OLDEST {
        report.fail(NAME, seen, "Upgrade to RabbitMQ 3.10 or later.");
    } else {
        report.ok(NAME, seen);
    }
}

fn topology(inspection: &Inspection, report: &mut Report) {
    const NAME: &str = "broker.queues";
    let queues = inspection.queues.iter();
    let missing: Vec<&str> = queues
        .filter(|queue| queue.counts.is_none())
        .map(|queue| queue.name.as_str())
        .chain(inspection.missing_exchanges.iter().copied())
        .collect();
    if missing.is_empty() {
        let count = inspection.queues.len();
        report.ok(NAME, format!("{count} queues and all exchanges are there"));
    } else {
        report.warn(
            NAME,
            format!("missing: {}", missing.join(", ")),
            "They are declared by the first process that needs them: start a worker with slots of each class; let the \
             user of broker.url configure, write and read.",
        );
    }
}

fn consumers(inspection: &Inspection, report: &mut Report) {
    const NAME: &str = "broker.consumers";
    let queues = inspection.queues.iter();
    let of_classes = queues.filter(|queue| queue.name != DEAD_QUEUE);
    let (mut idle, mut seen) = (Vec::new(), Vec::new());
    for queue in of_classes {
        let (waiting, consumers) = queue.counts.unwrap_or_default();
        seen.push(format!(
            "{}: {consumers} consumers, {waiting} messages",
            queue.name
        ));
        if consumers == 0 {
            idle.push(queue.name.as_str());
        }
    }
    if idle.is_empty() {
        report.ok(NAME, seen.join("; "));
    } else {
        report.warn(
            NAME,
            format!("no consumer: {}", idle.join(", ")),
            "Start a worker with slots of that class (worker.slots). Where all its slots run tasks for longer than \
             worker.acknowledge_after_seconds there is none either, and nothing is amiss.",
        );
    }
}

fn dead_letters(inspection: &Inspection, report: &mut Report) {
    const NAME: &str = "broker.dead_letters";
    let queue = inspection.queues.iter().find(|q| q.name == DEAD_QUEUE);
    match queue.and_then(|queue| queue.counts) {
        Some((count, _)) if count > 0 => report.warn(
            NAME,
            format!("{count} messages that nobody can read"),
            format!("Look at them in the management UI (queue {DEAD_QUEUE}), then purge it: no task is lost with them."),
        ),
        _ => report.ok(NAME, "none"),
    }
}

/// The broker's own limit cannot be asked for: the usual one is taken for granted.
fn acknowledgement(settings: &Settings, report: &mut Report) {
    const NAME: &str = "broker.acknowledgement";
    let seconds = settings.worker.acknowledge_after_seconds;
    let seen = format!(
        "after {seconds} s at most; the broker's limit cannot be asked for: \
         `rabbitmqctl eval 'application:get_env(rabbit, consumer_timeout).'` says it, in ms"
    );
    if seconds * 10 >= CONSUMER_TIMEOUT * 9 {
        report.warn(
            NAME,
            seen,
            "Lower worker.acknowledge_after_seconds below the broker's consumer_timeout (1800 s unless it is set).",
        );
    } else {
        report.ok(NAME, seen);
    }
}

async fn management(settings: &Settings, classes: &[String], report: &mut Report) {
    const NAME: &str = "broker.management";
    if settings.broker.management_url.is_empty() {
        return report.ok(
            NAME,
            "not set (broker.management_url): types, bindings and policies of queues are not looked at",
        );
    }
    let asked = async {
        let management = Management::of(&settings.broker).await?;
        let overview = management.get("overview").await?;
        let queues = management.get("queues/{vhost}").await?;
        let bindings = management.get("bindings/{vhost}").await?;
        Ok::<_, millrace_common::broker::ManagementError>((overview, queues, bindings))
    };
    match asked.await {
        Ok((overview, found, bindings)) => {
            let version = overview.get("rabbitmq_version").and_then(Value::as_str);
            report.ok(NAME, format!("reachable, RabbitMQ {}", version.unwrap_or("?")));
            let found = found.as_array().map_or(&[][..], Vec::as_slice);
            let bindings = bindings.as_array().map_or(&[][..], Vec::as_slice);
            kinds(settings, classes, found, report);
            bound(classes, found, bindings, report);
            policies(classes, found, report);
        }
        Err(error) => report.fail(
            NAME,
            chain(&error),
            "Correct broker.management_url, start the management plug-in, and give the user of broker.url the tag \
             `monitoring` (or put another user into the address).",
        ),
    }
}

fn ours<'a>(classes: &[String], found: &'a [Value]) -> Vec<(String, &'a Value)> {
    let of_class = |class: &String| {
        let name = queue_of(class);
        let queue = found.iter().find(|queue| text(queue, "name") == name)?;
        Some((class.clone(), queue))
    };
    classes.iter().filter_map(of_class).collect()
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn kinds(settings: &Settings, classes: &[String], found: &[Value], report: &mut Report) {
    const NAME: &str = "broker.queue_types";
    let wanted = match settings.broker.queue_type {
        QueueType::Quorum => "quorum",
        QueueType::Classic => "classic",
    };
    let is_wrong = |queue: &Value| {
        let dead = queue.pointer("/arguments/x-dead-letter-exchange");
        text(queue, "type") != wanted || dead.and_then(Value::as_str) != Some(DEAD_EXCHANGE)
    };
    let wrong: Vec<String> = ours(classes, found)
        .into_iter()
        .filter(|(_, queue)| is_wrong(queue))
        .map(|(_, queue)| format!("{} ({})", text(queue, "name"), text(queue, "type")))
        .collect();
    if wrong.is_empty() {
        report.ok(NAME, format!("all {wanted}"));
    } else {
        report.fail(
            NAME,
            format!("declared otherwise: {}", wrong.join(", ")),
            "Correct broker.queue_type, or delete these queues: they are declared anew, and no task is lost.",
        );
    }
}

fn bound(classes: &[String], found: &[Value], bindings: &[Value], report: &mut Report) {
    const NAME: &str = "broker.bindings";
    let is_bound = |class: &str, queue: &str| {
        bindings.iter().any(|binding| {
            text(binding, "source") == DISPATCH_EXCHANGE
                && text(binding, "destination") == queue
                && text(binding, "routing_key") == format!("{class}.#")
        })
    };
    let loose: Vec<String> = ours(classes, found)
        .into_iter()
        .map(|(class, _)| (queue_of(&class), class))
        .filter(|(queue, class)| !is_bound(class, queue))
        .map(|(queue, _)| queue)
        .collect();
    if loose.is_empty() {
        report.ok(NAME, format!("every queue hears of {DISPATCH_EXCHANGE}"));
    } else {
        report.fail(
            NAME,
            format!("not bound to {DISPATCH_EXCHANGE}: {}", loose.join(", ")),
            "Restart a worker, which binds them again, or bind each with the key `<class>.#`.",
        );
    }
}

/// Messages that vanish cost time, no task: the janitor announces again.
fn policies(classes: &[String], found: &[Value], report: &mut Report) {
    const NAME: &str = "broker.policies";
    const HARMFUL: [&str; 4] = ["message-ttl", "max-length", "max-length-bytes", "expires"];
    let mut harmful = Vec::new();
    for (_, queue) in ours(classes, found) {
        let Some(Value::Object(policy)) = queue.get("effective_policy_definition") else {
            continue;
        };
        let keys = policy.keys().filter(|key| HARMFUL.contains(&key.as_str()));
        harmful.extend(keys.map(|key| format!("{} {key}", text(queue, "name"))));
    }
    if harmful.is_empty() {
        report.ok(NAME, "none that drops messages");
    } else {
        report.warn(
            NAME,
            harmful.join(", "),
            "Take the queues `millrace.*` out of that policy: what it drops is announced again, later.",
        );
    }
}
