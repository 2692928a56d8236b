//! Thin handlers: decode, handle, encode.

pub mod city;
