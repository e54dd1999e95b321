//! The polygons of GEOSEARCH BYPOLYGON (Valkey 9.0): straight edges between vertices, on the map of longitude and
//! latitude. Edges may cross; what an odd number of them encloses is inside.

use super::{Point, degrees, radians};

/// An area enclosed by the edges between its vertices, the last of which is joined with the first.
#[derive(Debug, Clone, PartialEq)]
pub struct Polygon {
    vertices: Vec<Point>,
}

impl Polygon {
    /// A polygon of three vertices or more.
    pub fn new(vertices: Vec<Point>) -> Option<Polygon> {
        (vertices.len() >= 3).then_some(Polygon { vertices })
    }

    /// The point on the sphere in the direction of the vertices' mean, from which distances are measured. The distances
    /// in Valkey's documentation are those from there.
    pub fn centre(&self) -> Point {
        let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
        for vertex in &self.vertices {
            let (longitude, latitude) = (radians(vertex.longitude), radians(vertex.latitude));
            x += latitude.cos() * longitude.cos();
            y += latitude.cos() * longitude.sin();
            z += latitude.sin();
        }
        Point {
            longitude: degrees(y.atan2(x)),
            latitude: degrees(z.atan2(x.hypot(y))),
        }
    }

    /// The corners in the south-west and the north-east of the least box that holds the polygon.
    pub fn bounds(&self) -> (Point, Point) {
        let first = self.vertices[0];
        self.vertices.iter().fold((first, first), |(low, high), vertex| {
            let low = Point {
                longitude: low.longitude.min(vertex.longitude),
                latitude: low.latitude.min(vertex.latitude),
            };
            let high = Point {
                longitude: high.longitude.max(vertex.longitude),
                latitude: high.latitude.max(vertex.latitude),
            };
            (low, high)
        })
    }

    /// Whether a point lies inside: a line from it to the east crosses an odd number of edges.
    pub fn contains(&self, point: Point) -> bool {
        let last = self.vertices[self.vertices.len() - 1];
        let mut inside = false;
        let mut from = last;
        for &to in &self.vertices {
            if (from.latitude > point.latitude) != (to.latitude > point.latitude) {
                let along = (point.latitude - from.latitude) / (to.latitude - from.latitude);
                if point.longitude < from.longitude + along * (to.longitude - from.longitude) {
                    inside = !inside;
                }
            }
            from = to;
        }
        inside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polygon(corners: &[(f64, f64)]) -> Polygon {
        let points = corners
            .iter()
            .map(|&(longitude, latitude)| Point { longitude, latitude });
        Polygon::new(points.collect()).expect("three corners or more")
    }

    fn at(longitude: f64, latitude: f64) -> Point {
        Point { longitude, latitude }
    }

    #[test]
    fn a_concave_polygon() {
        // An L: the square of side 2 without its upper right quarter.
        let l = polygon(&[
            (0.0, 0.0),
            (2.0, 0.0),
            (2.0, 1.0),
            (1.0, 1.0),
            (1.0, 2.0),
            (0.0, 2.0),
        ]);
        for (x, y, inside) in [
            (0.5, 0.5, true),
            (1.5, 0.5, true),
            (0.5, 1.5, true),
            (1.5, 1.5, false),
            (-0.1, 1.0, false),
            (0.5, 2.1, false),
            (2.5, 0.5, false),
        ] {
            assert_eq!(l.contains(at(x, y)), inside, "{x} {y}");
        }
        assert_eq!(l.bounds(), (at(0.0, 0.0), at(2.0, 2.0)));
        assert!(l.centre().distance_m(at(1.0, 1.0)) < 20.0);
    }

    #[test]
    fn what_is_no_area() {
        assert_eq!(Polygon::new(vec![at(0.0, 0.0), at(1.0, 1.0)]), None);
        let line = polygon(&[(0.0, 0.0), (1.0, 1.0), (2.0, 2.0)]);
        assert!(!line.contains(at(1.5, 0.5)));
    }
}
