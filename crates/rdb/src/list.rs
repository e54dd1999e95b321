//! Lists.

use std::io::{self, Write};

use holdfast_storage::encoding::listpack::{self, Listpack};
use holdfast_storage::types::list::{List, ListLimits, Node, NodeRef};

use crate::error::RdbError;
use crate::input::Input;
use crate::read;
use crate::types::Type;
use crate::value::{count, pack};
use crate::write::Writer;
use crate::ziplist::Ziplist;

/// A node that is one large element.
const PLAIN: u64 = 1;
/// A node that is a listpack.
const PACKED: u64 = 2;

pub(crate) fn write<W: Write>(w: &mut Writer<W>, list: &List) -> io::Result<()> {
    w.len(list.node_count() as u64)?;
    for node in list.nodes() {
        match node {
            NodeRef::Packed(pack) => write_node(w, pack.as_bytes())?,
            NodeRef::Plain(element) => {
                w.len(PLAIN)?;
                w.string(element)?;
            }
        }
    }
    Ok(())
}

fn write_node<W: Write>(w: &mut Writer<W>, pack: &[u8]) -> io::Result<()> {
    w.len(PACKED)?;
    w.string(pack)
}

/// Writes a list of one listpack.
pub(crate) fn write_packed<W: Write>(w: &mut Writer<W>, pack: &[u8]) -> io::Result<()> {
    w.len(1)?;
    write_node(w, pack)
}

pub(crate) fn read(input: &mut impl Input, ty: Type, limits: &ListLimits) -> Result<List, RdbError> {
    let list = match ty {
        Type::ListQuicklist => of_nodes(input, limits, ziplist_node)?,
        Type::ListQuicklist2 => of_nodes(input, limits, node)?,
        Type::ListZiplist => {
            let bytes = read::string(input)?;
            let mut list = List::new();
            for item in Ziplist::new(&bytes)? {
                item.with_bytes(|element| list.push_back(element, limits));
            }
            list
        }
        _ => {
            debug_assert_eq!(ty, Type::List);
            let (mut list, mut element) = (List::new(), Vec::new());
            for _ in 0..count(input)? {
                read::string_into(input, &mut element)?;
                list.push_back(&element, limits);
            }
            list
        }
    };
    if list.is_empty() {
        return Err(RdbError::Empty);
    }
    Ok(list)
}

fn of_nodes<I: Input>(
    input: &mut I,
    limits: &ListLimits,
    read: impl Fn(&mut I) -> Result<Option<Node>, RdbError>,
) -> Result<List, RdbError> {
    let mut nodes = Vec::new();
    for _ in 0..count(input)? {
        nodes.extend(read(input)?);
    }
    Ok(List::from_nodes(nodes, limits))
}

/// None: a node without elements, which Redis skips.
fn ziplist_node(input: &mut impl Input) -> Result<Option<Node>, RdbError> {
    let bytes = read::string(input)?;
    match pack(Ziplist::new(&bytes)?) {
        Ok(pack) => Ok(Some(Node::packed(pack))),
        Err(RdbError::Empty) => Ok(None),
        Err(error) => Err(error),
    }
}

fn node(input: &mut impl Input) -> Result<Option<Node>, RdbError> {
    match read::len(input)? {
        PLAIN => Ok(Some(Node::plain(read::string(input)?))),
        PACKED => {
            let bytes = read::string(input)?;
            if bytes.len() > listpack::MAX_BYTES {
                return Err(RdbError::TooLarge(listpack::MAX_BYTES));
            }
            let pack = Listpack::from_bytes(&bytes)?;
            Ok((!pack.is_empty()).then(|| Node::packed(pack)))
        }
        other => Err(RdbError::Container(other)),
    }
}
