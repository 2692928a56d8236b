//! The RPCs: thin handlers that decode, hand over, and encode.

pub mod city;
pub mod sessions;
