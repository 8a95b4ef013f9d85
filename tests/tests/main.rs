//! All tests that need servers. Each has a database and a virtual host of its own where it needs them.

#[cfg(test)]
mod access;
#[cfg(test)]
mod accounts;
#[cfg(test)]
mod api_faults;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod blockers;
#[cfg(test)]
mod body_faults;
#[cfg(test)]
mod broker_faults;
#[cfg(test)]
mod broker_stalls;
#[cfg(test)]
mod chains;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod checksums;
#[cfg(test)]
mod chunks;
mod claims;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod cli_accounts;
#[cfg(test)]
mod cli_publications;
#[cfg(test)]
mod cli_remotes;
#[cfg(test)]
mod cli_roles;
#[cfg(test)]
mod cli_uploads;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod content;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod dead_letters;
#[cfg(test)]
mod deadlines;
#[cfg(test)]
mod deploy;
#[cfg(test)]
mod distributions;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod downloads;
#[cfg(test)]
mod engine_cost;
#[cfg(test)]
mod events;
#[cfg(test)]
mod exports;
#[cfg(test)]
mod fsck;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod general;
#[cfg(test)]
mod grants;
#[cfg(test)]
mod half_open;
#[cfg(test)]
mod health;
#[cfg(test)]
mod history;
#[cfg(test)]
mod idempotency;
#[cfg(test)]
mod killed;
#[cfg(test)]
mod labels;
#[cfg(test)]
mod lanes;
#[cfg(test)]
mod leftovers;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod migrations;
#[cfg(test)]
mod orphans;
#[cfg(test)]
mod pauses;
#[cfg(test)]
mod permissions;
#[cfg(test)]
mod plugin;
#[cfg(test)]
mod postgres_faults;
#[cfg(test)]
mod publications;
#[cfg(test)]
mod purge;
#[cfg(test)]
mod reclaim;
#[cfg(test)]
mod remotes;
#[cfg(test)]
mod repositories;
#[cfg(test)]
mod rpm;
#[cfg(test)]
mod s3;
#[cfg(test)]
mod scale;
#[cfg(test)]
mod schedules;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod serving;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod support;
#[cfg(test)]
mod sync;
#[cfg(test)]
mod task_lists;
#[cfg(test)]
mod task_requests;
#[cfg(test)]
mod tasks;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod uploads;
#[cfg(test)]
mod v2;
#[cfg(test)]
mod v2_units;
#[cfg(test)]
mod versions;
#[cfg(test)]
mod worker_faults;
