//! Points on the earth as scores of a sorted set: GEOADD, GEOPOS, GEODIST, GEOHASH and the distances of
//! GEOSEARCH. Knows no keys and no sorted sets; which scores a search has to look at is in `geosearch`.
//!
//! ```text
//! score = 52 bits, exact in a double:  lon25 lat25 lon24 lat24 ... lon0 lat0
//!         lon = (longitude + 180) / 360 * 2^26                     a cell is some 0.6 m wide
//!         lat = (latitude + 85.05112878) / 170.10225756 * 2^26
//! ```
//!
//! Source: the GEOADD command page (EPSG:900913 limits), and the answers of Redis 7.0.15.

mod polygon;

use crate::numeric;
pub use polygon::Polygon;
use std::f64::consts::PI;

/// Largest longitude in degrees, east and west.
pub const LONGITUDE_LIMIT: f64 = 180.0;
/// Largest latitude in degrees, north and south: where the Web Mercator map is square.
pub const LATITUDE_LIMIT: f64 = 85.051_128_78;
/// Radius of the earth in metres by which distances are computed.
pub const EARTH_RADIUS_M: f64 = 6_372_797.560_856;
/// Bits of each coordinate in a score.
pub(crate) const MAX_STEP: u32 = 26;

/// A point, in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Longitude, east positive.
    pub longitude: f64,
    /// Latitude, north positive.
    pub latitude: f64,
}

impl Point {
    /// Returns the point, or `None` if it lies outside the limits (`ERR invalid longitude,latitude pair`).
    pub fn new(longitude: f64, latitude: f64) -> Option<Point> {
        let within = longitude.abs() <= LONGITUDE_LIMIT && latitude.abs() <= LATITUDE_LIMIT;
        within.then_some(Point { longitude, latitude })
    }

    /// Returns the score under which GEOADD stores the point.
    pub fn score(self) -> f64 {
        Cell::at(self, MAX_STEP, LATITUDE_LIMIT).bits() as f64
    }

    /// Returns the middle of the cell that a score stands for, which is where the point lies from then on.
    pub fn from_score(score: f64) -> Point {
        let area = Cell::from_bits(score as u64, MAX_STEP).area();
        let middle = |(min, max): (f64, f64), limit: f64| ((min + max) / 2.0).clamp(-limit, limit);
        Point {
            longitude: middle(area.longitude, LONGITUDE_LIMIT),
            latitude: middle(area.latitude, LATITUDE_LIMIT),
        }
    }

    /// Returns the 11 characters of GEOHASH. They are standard geohash, which spans all latitudes, but hold 52
    /// bits only: the last character is always `0`.
    pub fn geohash(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let bits = Cell::at(self, MAX_STEP, 90.0).bits();
        std::array::from_fn(|n| match n {
            10 => ALPHABET[0],
            _ => ALPHABET[(bits >> (47 - 5 * n)) as usize & 31],
        })
    }

    /// Returns the distance to `other` in metres along a great circle (haversine).
    pub fn distance_m(self, other: Point) -> f64 {
        let (lat1, lat2) = (radians(self.latitude), radians(other.latitude));
        let (lon1, lon2) = (radians(self.longitude), radians(other.longitude));
        let v = ((lon2 - lon1) / 2.0).sin();
        if v == 0.0 {
            return EARTH_RADIUS_M * (lat2 - lat1).abs();
        }
        let u = ((lat2 - lat1) / 2.0).sin();
        2.0 * EARTH_RADIUS_M * (u * u + lat1.cos() * lat2.cos() * v * v).sqrt().asin()
    }
}

pub(crate) fn radians(degrees: f64) -> f64 {
    degrees * (PI / 180.0)
}

pub(crate) fn degrees(radians: f64) -> f64 {
    radians / (PI / 180.0)
}

/// A unit of length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// `m`
    Metres,
    /// `km`
    Kilometres,
    /// `ft`
    Feet,
    /// `mi`
    Miles,
}

impl Unit {
    /// Parses a unit in any case; `None` if Redis would answer `ERR unsupported unit provided. please use M, KM,
    /// FT, MI`.
    pub fn parse(text: &[u8]) -> Option<Unit> {
        let units = [
            ("m", Unit::Metres),
            ("km", Unit::Kilometres),
            ("ft", Unit::Feet),
            ("mi", Unit::Miles),
        ];
        units
            .into_iter()
            .find(|(name, _)| text.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, unit)| unit)
    }

    /// Length of the unit in metres.
    pub fn metres(self) -> f64 {
        match self {
            Unit::Metres => 1.0,
            Unit::Kilometres => 1000.0,
            Unit::Feet => 0.3048,
            Unit::Miles => 1609.34,
        }
    }
}

/// The area of a search, around a centre.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// BYRADIUS: all within a distance.
    Radius {
        /// The distance in metres.
        metres: f64,
    },
    /// BYBOX: a box along the axes.
    Box {
        /// East to west, in metres.
        width_m: f64,
        /// North to south, in metres.
        height_m: f64,
    },
}

impl Shape {
    /// Returns the distance in metres of `point` from `centre` if it lies in the shape, edges included.
    pub fn distance_within(self, centre: Point, point: Point) -> Option<f64> {
        match self {
            Shape::Radius { metres } => {
                let distance = centre.distance_m(point);
                (distance <= metres).then_some(distance)
            }
            Shape::Box { width_m, height_m } => {
                let north = EARTH_RADIUS_M * (radians(point.latitude) - radians(centre.latitude)).abs();
                if north > height_m / 2.0 {
                    return None;
                }
                // Measured along the point's parallel, where a degree is shorter nearer to the pole.
                let east = point.distance_m(Point {
                    longitude: centre.longitude,
                    latitude: point.latitude,
                });
                (east <= width_m / 2.0).then(|| centre.distance_m(point))
            }
        }
    }
}

/// Returns a distance, in whatever unit, as GEODIST writes it: with 4 decimals. Redis scales and rounds in a
/// double, which near a tie is not what `printf` does.
pub fn format_distance(distance: f64) -> String {
    const LARGEST: f64 = 9e18;
    let scaled = (distance * 1e4).round_ties_even();
    if scaled.abs() < LARGEST {
        let scaled = scaled as i64;
        let sign = if scaled < 0 { "-" } else { "" };
        let scaled = scaled.unsigned_abs();
        return format!("{sign}{}.{:04}", scaled / 10_000, scaled % 10_000);
    }
    if distance.is_finite() {
        return format!("{distance:.4}");
    }
    String::from_utf8_lossy(&numeric::format_f64_17g(distance)).into_owned()
}

/// A cell of the grid that halves the map `step` times each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    /// Column from the west.
    pub lon: u32,
    /// Row from the south.
    pub lat: u32,
    /// Halvings, 1 to 26.
    pub step: u32,
}

/// Where a cell lies, in degrees, least first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Area {
    pub longitude: (f64, f64),
    pub latitude: (f64, f64),
}

impl Cell {
    /// The cell that holds `point` on a map up to `latitude_limit`. On the very edge in the north and the east it
    /// is one row or column beyond the last, as in Redis.
    pub fn at(point: Point, step: u32, latitude_limit: f64) -> Cell {
        let cells = (1u64 << step) as f64;
        let index = |degrees: f64, limit: f64| ((degrees + limit) / (2.0 * limit) * cells) as u32;
        let lon = index(point.longitude, LONGITUDE_LIMIT);
        Cell {
            lon,
            lat: index(point.latitude, latitude_limit),
            step,
        }
    }

    pub fn from_bits(bits: u64, step: u32) -> Cell {
        Cell {
            lon: even_bits(bits >> 1),
            lat: even_bits(bits),
            step,
        }
    }

    /// The bits of both coordinates in turn, latitude lowest.
    pub fn bits(self) -> u64 {
        spread(self.lat) | spread(self.lon) << 1
    }

    /// Degrees from edge to edge.
    pub fn area(self) -> Area {
        let cells = (1u64 << self.step) as f64;
        let edges = |index: u32, limit: f64| {
            let edge = |index: u64| -limit + index as f64 / cells * (2.0 * limit);
            (edge(u64::from(index)), edge(u64::from(index) + 1))
        };
        Area {
            longitude: edges(self.lon, LONGITUDE_LIMIT),
            latitude: edges(self.lat, LATITUDE_LIMIT),
        }
    }

    /// The cell some columns east and rows north; the map is joined at its edges. A coordinate that does not move
    /// stays as it is, even one beyond the edge.
    pub fn moved(self, east: i32, north: i32) -> Cell {
        let mask = (1u32 << self.step) - 1;
        let moved = |index: u32, by: i32| {
            if by == 0 {
                index
            } else {
                index.wrapping_add_signed(by) & mask
            }
        };
        Cell {
            lon: moved(self.lon, east),
            lat: moved(self.lat, north),
            ..self
        }
    }
}

/// Moves bit n to bit 2n.
fn spread(value: u32) -> u64 {
    let mut x = u64::from(value);
    x = (x | x << 16) & 0x0000_ffff_0000_ffff;
    x = (x | x << 8) & 0x00ff_00ff_00ff_00ff;
    x = (x | x << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    x = (x | x << 2) & 0x3333_3333_3333_3333;
    (x | x << 1) & 0x5555_5555_5555_5555
}

/// Moves bit 2n to bit n; odd bits are dropped.
fn even_bits(value: u64) -> u32 {
    let mut x = value & 0x5555_5555_5555_5555;
    x = (x | x >> 1) & 0x3333_3333_3333_3333;
    x = (x | x >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
    x = (x | x >> 4) & 0x00ff_00ff_00ff_00ff;
    x = (x | x >> 8) & 0x0000_ffff_0000_ffff;
    (x | x >> 16) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::longdouble::format_f64_human;
    use proptest::prelude::*;

    fn point(longitude: f64, latitude: f64) -> Point {
        Point::new(longitude, latitude).unwrap()
    }

    /// The figures of the command pages.
    #[test]
    fn sicily() {
        let palermo = Point::from_score(point(13.361389, 38.115556).score());
        let catania = Point::from_score(point(15.087269, 37.502669).score());
        assert_eq!(point(13.361389, 38.115556).score(), 3_479_099_956_230_698.0);
        assert_eq!(format_f64_human(palermo.longitude), b"13.36138933897018433");
        assert_eq!(format_f64_human(palermo.latitude), b"38.11555639549629859");
        assert_eq!(&palermo.geohash(), b"sqc8b49rny0");
        assert_eq!(&catania.geohash(), b"sqdtr74hyu0");
        assert_eq!(format_distance(palermo.distance_m(catania)), "166274.1516");
        assert_eq!(
            format_distance(palermo.distance_m(catania) / Unit::Miles.metres()),
            "103.3182"
        );
    }

    #[test]
    fn limits() {
        assert!(Point::new(180.0, LATITUDE_LIMIT).is_some() && Point::new(-180.0, -LATITUDE_LIMIT).is_some());
        assert!(Point::new(180.1, 0.0).is_none() && Point::new(0.0, 85.06).is_none());
        assert!(Point::new(f64::NAN, 0.0).is_none() && Point::new(0.0, f64::INFINITY).is_none());
        for score in [f64::NEG_INFINITY, -1.0, 0.0, 1e16, f64::INFINITY, f64::NAN] {
            let Point { longitude, latitude } = Point::from_score(score);
            assert!(Point::new(longitude, latitude).is_some(), "{score}");
        }
        assert_eq!(Unit::parse(b"KM"), Some(Unit::Kilometres));
        assert_eq!(Unit::parse(b"metres"), None);
    }

    proptest! {
        #[test]
        fn a_score_stays_its_own(bits in 0u64..1 << 52) {
            prop_assert_eq!(Cell::from_bits(bits, MAX_STEP).bits(), bits);
            prop_assert_eq!(Point::from_score(bits as f64).score(), bits as f64);
        }

        #[test]
        fn a_point_hardly_moves(longitude in -180.0..180.0f64, latitude in -85.05..85.05f64) {
            let point = point(longitude, latitude);
            prop_assert!(point.distance_m(Point::from_score(point.score())) < 0.6);
        }

        #[test]
        fn distance_is_a_metric(a in 0u64..1 << 52, b in 0u64..1 << 52) {
            let (a, b) = (Point::from_score(a as f64), Point::from_score(b as f64));
            prop_assert!((a.distance_m(b) - b.distance_m(a)).abs() < 1e-6);
            prop_assert_eq!(a.distance_m(a), 0.0);
            prop_assert!(a.distance_m(b) <= PI * EARTH_RADIUS_M + 1e-6);
        }
    }
}
