//! gRPC-Web in the page: the transport over `fetch`, the tap on it, and live connections.
//!
//! [`frames`] (bytes to frames) → [`messages`] (frames to messages and a status) → [`transport`] (calls, typed
//! by [`methods`]). [`connection`] (pure) → [`live`] (the task around it) keeps a stream open, and [`call`] is
//! for single answers. Only [`fetch`] and the clock need a browser.

use bytes::Bytes;
use prost::Message;
use tonic::Status;

use self::{clock::BrowserClock, methods::Method};
use crate::{browser, model::Millis};

pub mod call;
pub mod clock;
pub mod connection;
pub mod fetch;
pub mod frames;
pub mod live;
pub mod messages;
pub mod methods;
pub mod status;
pub mod tap;
pub mod transport;

#[cfg(test)]
mod tests;

/// Calls of the server that the page came from. Cheap to clone; clones share the tap.
#[derive(Clone)]
pub struct Api {
    transport: transport::Transport<fetch::BrowserFetch>,
}

impl Api {
    /// Calls with a tap of their own.
    pub fn new() -> Self {
        let tap = tap::Tap::new(browser::now);
        Self { transport: transport::Transport::new(fetch::BrowserFetch::default(), tap) }
    }

    /// What the calls sent and received.
    pub fn tap(&self) -> &tap::Tap {
        self.transport.tap()
    }

    /// The answer within [`call::DEADLINE`], or DEADLINE_EXCEEDED.
    pub async fn ask<Q: Message, A: Message + Default>(
        &self,
        method: Method<Q, A>,
        request: &Q,
    ) -> Result<A, Status> {
        transport::decode(self.answer(method.path(), request.encode_to_vec(), call::DEADLINE).await?)
    }

    /// The same, tried again while the server cannot be reached. Only for calls that are safe to repeat.
    pub async fn ask_again<Q: Message, A: Message + Default>(
        &self,
        method: Method<Q, A>,
        request: &Q,
        on_retry: &dyn Fn(),
    ) -> Result<A, Status> {
        transport::decode(self.answer_again(method.path(), request.encode_to_vec(), on_retry).await?)
    }

    /// The answers, encoded, from before the call is made to its end; an error is the last item.
    pub fn open<Q: Message, A>(&self, method: Method<Q, A>, request: &Q) -> live::Attempt {
        self.transport.answers(method.path(), request.encode_to_vec())
    }

    async fn answer(&self, path: &'static str, message: Vec<u8>, deadline: Millis) -> Result<Bytes, Status> {
        call::unary(&BrowserClock, deadline, self.transport.answer(path, message, deadline)).await
    }

    async fn answer_again(
        &self,
        path: &'static str,
        message: Vec<u8>,
        on_retry: &dyn Fn(),
    ) -> Result<Bytes, Status> {
        let call = async |deadline| self.answer(path, message.clone(), deadline).await;
        call::retrying(&BrowserClock, on_retry, call).await
    }
}

impl Default for Api {
    fn default() -> Self {
        Self::new()
    }
}
