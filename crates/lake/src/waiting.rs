//! What waits for a store. Where others wait on the same thread it may be dropped, too.

use tokio::runtime::Runtime;

/// See the module.
#[derive(Debug)]
pub(crate) struct Waiting(Option<Runtime>);

impl Waiting {
    pub(crate) fn new(runtime: Runtime) -> Self {
        Waiting(Some(runtime))
    }

    pub(crate) fn get(&self) -> &Runtime {
        let runtime = self.0.as_ref();
        runtime.expect("it is there until it is dropped")
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
