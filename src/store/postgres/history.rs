//! What people look up: messages and deliveries.

use super::{Inner, names::unbuilt};
use crate::model::MessageId;
use crate::store::{DeliveryPage, DeliveryQuery, MessagePage, MessageQuery, MessageRow, MessageSlice, StoreError};

pub(super) async fn messages(_inner: &Inner, _query: &MessageQuery) -> Result<MessagePage, StoreError> {
    unbuilt()
}

pub(super) async fn message(_inner: &Inner, _id: &MessageId) -> Result<MessageRow, StoreError> {
    unbuilt()
}

pub(super) async fn message_slice(
    _inner: &Inner,
    _id: &MessageId,
    _skip: u64,
    _limit: u32,
) -> Result<MessageSlice, StoreError> {
    unbuilt()
}

pub(super) async fn deliveries(_inner: &Inner, _query: &DeliveryQuery) -> Result<DeliveryPage, StoreError> {
    unbuilt()
}
