//! A file that comes in parts, written when all are there: for stores that have no better way.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{
    MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, PutResult, Result, UploadPart,
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Parts {
    store: Arc<dyn ObjectStore>,
    location: Path,
    parts: Vec<Bytes>,
}

impl Parts {
    /// Of a file which is to be at `location`.
    pub(crate) fn new(store: Arc<dyn ObjectStore>, location: Path) -> Self {
        Parts {
            store,
            location,
            parts: Vec::new(),
        }
    }
}

#[async_trait]
impl MultipartUpload for Parts {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.parts.extend(data.iter().cloned());
        Box::pin(async { Ok(()) })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let payload = PutPayload::from_iter(std::mem::take(&mut self.parts));
        self.store.put(&self.location, payload).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.parts.clear();
        Ok(())
    }
}
