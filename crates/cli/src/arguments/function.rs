//! `evenkeel function`.

use clap::{Args, Subcommand};

use super::Pairs;

/// `evenkeel function`
#[derive(Debug, Args)]
#[command(
    about = "Try and check functions in Python",
    long_about = "Try and check functions in Python.\n\n\
        A function is defined with CREATE FUNCTION ... LANGUAGE PYTHON and runs in processes of \
        its own. `apply` records the text of its modules and the versions of the packages that \
        they import, and checks that equal arguments give equal bits. These commands read the \
        project's files; no store is needed.",
    after_help = "Examples:\n  \
        evenkeel function call area x=2,y=3.5\n  \
        evenkeel function check area\n  \
        evenkeel function list",
    disable_help_subcommand = true
)]
pub(crate) struct FunctionArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: FunctionCommand,
}

/// What is done with functions.
#[derive(Debug, Subcommand)]
pub(crate) enum FunctionCommand {
    Call(FunctionCallArguments),
    Check(FunctionCheckArguments),
    List(FunctionListArguments),
}

/// `evenkeel function call`
#[derive(Debug, Args)]
#[command(
    about = "Call a function as the files have it now",
    long_about = "Call a function as the files have it now.\n\n\
        Shows the value, and what Python said of an exception. A function that ends its process, \
        hangs or wants too much memory fails here as it would in a read.",
    after_help = "Examples:\n  \
        evenkeel function call area x=2,y=3.5\n  \
        evenkeel function call greeting name=ada --json"
)]
pub(crate) struct FunctionCallArguments {
    /// The function
    #[arg(value_name = "FUNCTION")]
    pub(crate) function: String,
    /// The arguments, as NAME=VALUE pairs; those left out are NULL
    #[arg(value_name = "ARGUMENTS")]
    pub(crate) arguments: Pairs,
}

/// `evenkeel function check`
#[derive(Debug, Args)]
#[command(
    about = "Check that equal arguments give equal bits",
    long_about = "Check that equal arguments give equal bits.\n\n\
        A sample of rows is computed at once, one by one, in pieces, in another order, again, in \
        another process with another order of hashes, and with AVX2, AVX-512 and FMA turned off. \
        The first difference is shown. `apply` does the same.",
    after_help = "Examples:\n  \
        evenkeel function check area\n  \
        evenkeel function check area --json"
)]
pub(crate) struct FunctionCheckArguments {
    /// The function
    #[arg(value_name = "FUNCTION")]
    pub(crate) function: String,
}

/// `evenkeel function list`
#[derive(Debug, Args)]
#[command(
    about = "List what is registered",
    after_help = "Examples:\n  \
        evenkeel function list\n  \
        evenkeel function list --json"
)]
pub(crate) struct FunctionListArguments {}
