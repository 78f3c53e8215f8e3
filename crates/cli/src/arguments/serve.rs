//! `evenkeel serve` and `evenkeel status`.

use clap::Args;

/// `evenkeel serve`
#[derive(Debug, Args)]
#[command(
    about = "Answer over HTTP",
    long_about = "Answer over HTTP.\n\n\
        Holds the store, reads features and logs pushed events until the process is told to stop \
        (SIGTERM, Ctrl-C); then it finishes what is in flight. Prints its address, and writes it \
        to `serve.json` in the store's directory: the other commands ask the server as long as it \
        runs, with the same words. Addresses beyond this machine need tokens and TLS files under \
        [server] in `evenkeel.toml`.",
    after_help = "Examples:\n  \
        evenkeel serve\n  \
        evenkeel serve --dir shop --bind 127.0.0.1:0 --json\n  \
        curl -s http://127.0.0.1:6570/v1/services"
)]
pub(crate) struct ServeArguments {
    /// Address and port; port 0 takes a free one [default: [server] bind, or 127.0.0.1:6570]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) bind: Option<String>,
}

/// `evenkeel status`
#[derive(Debug, Args)]
#[command(
    about = "Show what the store holds",
    long_about = "Show what the store holds.\n\n\
        Per source the events, the latest event time, the watermark and the dead letters; the \
        views and services with their versions; what recovery found when the store was opened.",
    after_help = "Examples:\n  \
        evenkeel status\n  \
        evenkeel status --dir evenkeel-demo --json"
)]
pub(crate) struct StatusArguments {}
