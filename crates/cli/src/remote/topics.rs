//! Topics of a server.

use evenkeel_engine::Scope;
use evenkeel_server::Sent;
use serde_json::Value as Json;

use super::{Remote, escaped, not_understood};
use crate::failure::Failure;

impl Remote {
    /// Takes the emissions of a topic from a position on as they come, at most so many; until the
    /// server ends the stream.
    pub(crate) fn tail(
        &self,
        topic: &str,
        from: u64,
        most: u64,
        take: &mut dyn FnMut(&Json) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let path = format!("/v1/topics/{}?from={from}&limit={most}", escaped(topic));
        let mut taken = Ok(());
        let mut event = |data: &str| {
            let json = serde_json::from_str(data).map_err(|_| not_understood());
            taken = json.and_then(|json| take(&json));
            taken.is_ok()
        };
        let mut sent = Sent::new("GET", &path, Scope::Read, &[]);
        sent.events = Some(&mut event);
        let reply = self.client.send(&mut sent);
        drop(sent);
        taken?;
        match reply {
            Ok(reply) if reply.status == 200 => Ok(()),
            other => self.understood(other).map(drop),
        }
    }
}
