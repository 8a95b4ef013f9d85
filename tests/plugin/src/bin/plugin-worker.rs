//! A worker with this plug-in's tasks.

fn main() -> std::process::ExitCode {
    millrace_worker::run(millrace_plugin_example::register)
}
