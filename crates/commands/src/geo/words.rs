//! Coordinates, distances and units as they are written and shown.
//!
//! Must not know: keys, sorted sets.

use holdfast_resp::{Proto, Reply};
use holdfast_storage::geo::{Point, Polygon, Shape, Unit, format_distance};
use holdfast_storage::longdouble::format_f64_human;

use crate::args::{self, Cursor};
use crate::error::CmdError;

/// A point on the map.
pub(super) fn point(longitude: &[u8], latitude: &[u8]) -> Result<Point, CmdError> {
    let (longitude, latitude) = (args::float(longitude)?, args::float(latitude)?);
    Point::new(longitude, latitude).ok_or_else(|| {
        CmdError::msg(format!(
            "ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}"
        ))
    })
}

/// A unit of length.
pub(super) fn unit(text: &[u8]) -> Result<Unit, CmdError> {
    Unit::parse(text).ok_or(CmdError::msg(
        "ERR unsupported unit provided. please use M, KM, FT, MI",
    ))
}

/// A circle, and the unit in which it was given.
pub(super) fn circle(radius: &[u8], of: &[u8]) -> Result<(Shape, Unit), CmdError> {
    let radius = args::float(radius).map_err(|_| CmdError::msg("ERR need numeric radius"))?;
    if radius < 0.0 {
        return Err(CmdError::msg("ERR radius cannot be negative"));
    }
    let unit = unit(of)?;
    let metres = radius * unit.metres();
    Ok((Shape::Radius { metres }, unit))
}

/// A box, and the unit in which it was given.
pub(super) fn rectangle(width: &[u8], height: &[u8], of: &[u8]) -> Result<(Shape, Unit), CmdError> {
    let width = args::float(width).map_err(|_| CmdError::msg("ERR need numeric width"))?;
    let height = args::float(height).map_err(|_| CmdError::msg("ERR need numeric height"))?;
    if width < 0.0 || height < 0.0 {
        return Err(CmdError::msg("ERR height or width cannot be negative"));
    }
    let unit = unit(of)?;
    let shape = Shape::Box {
        width_m: width * unit.metres(),
        height_m: height * unit.metres(),
    };
    Ok((shape, unit))
}

/// A polygon: `num-vertices longitude latitude [longitude latitude ...]`.
pub(super) fn polygon(rest: &mut Cursor<'_>) -> Result<Polygon, CmdError> {
    let few = || CmdError::msg("ERR a polygon needs at least 3 vertices");
    let count = usize::try_from(rest.int()?).map_err(|_| few())?;
    if count < 3 {
        return Err(few());
    }
    if count > rest.left() / 2 {
        return Err(CmdError::Syntax);
    }
    let mut vertices = Vec::with_capacity(count);
    for _ in 0..count {
        vertices.push(point(rest.word()?, rest.word()?)?);
    }
    Polygon::new(vertices).ok_or_else(few)
}

/// Writes a distance given in metres.
pub(super) fn distance(reply: &mut Reply, metres: f64, unit: Unit) {
    reply.bulk(format_distance(metres / unit.metres()).as_bytes());
}

/// Writes longitude and latitude.
pub(super) fn coordinates(reply: &mut Reply, point: Point) {
    reply.array(2);
    for degrees in [point.longitude, point.latitude] {
        let text = format_f64_human(degrees);
        match reply.proto() {
            Proto::Resp2 => reply.bulk(&text),
            Proto::Resp3 => {
                reply.raw(b",");
                reply.raw(&text);
                reply.raw(b"\r\n");
            }
        }
    }
}
