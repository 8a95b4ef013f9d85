//! The API with this plug-in's tasks.

fn main() -> std::process::ExitCode {
    millrace_api::run(millrace_plugin_example::register)
}
