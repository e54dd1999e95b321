//! The messages that are made from proto/cluster.proto. Must not know: what they mean.

#![allow(missing_docs, clippy::all)]

tonic::include_proto!("holdfast.cluster.v1");
