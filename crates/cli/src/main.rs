#![allow(dead_code, unused_imports)]
mod arguments;
mod clock;
mod table;
#[path = "flights/local_time.rs"]
mod local_time;
fn main() {
    use clap::Parser;
    arguments::Arguments::parse();
}
