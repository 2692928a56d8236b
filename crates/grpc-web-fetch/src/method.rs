//! The path of an RPC and the types of its messages.

use std::marker::PhantomData;

/// An RPC with requests of type `Q` and responses of type `A`.
pub struct Method<Q, A> {
    path: &'static str,
    types: PhantomData<fn(Q) -> A>,
}

impl<Q, A> Method<Q, A> {
    /// Creates the RPC at `path`, for example "/package.Service/Method".
    pub const fn new(path: &'static str) -> Self {
        Self { path, types: PhantomData }
    }

    /// Returns the path.
    pub const fn path(&self) -> &'static str {
        self.path
    }
}
