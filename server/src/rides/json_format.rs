//! Serde formats of the journal. They follow the JSON form of protobuf where it has one.
//!
//! Each module is for `#[serde(with)]`.

/// A time, as RFC 3339 in UTC.
pub(super) mod time {
    use std::time::SystemTime;

    use prost_types::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(in crate::rides) fn serialize<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&Timestamp::from(*time))
    }

    pub(in crate::rides) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
        let text = String::deserialize(from)?;
        let time: Timestamp = text.parse().map_err(D::Error::custom)?;
        SystemTime::try_from(time).map_err(D::Error::custom)
    }
}

/// A duration, as seconds with the suffix `s`: `"90.5s"`.
pub(super) mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error as _, ser::Error as _};

    pub(in crate::rides) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        let duration = prost_types::Duration::try_from(*duration).map_err(S::Error::custom)?;
        to.collect_str(&duration)
    }

    pub(in crate::rides) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        let duration: prost_types::Duration = text.parse().map_err(D::Error::custom)?;
        Duration::try_from(duration).map_err(D::Error::custom)
    }
}

/// A point, as `[latitude, longitude]` in degrees.
pub(super) mod point {
    use rides_proto::geo::LatLng;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

    pub(in crate::rides) fn serialize<S: Serializer>(point: &LatLng, to: S) -> Result<S::Ok, S::Error> {
        (point.lat(), point.lng()).serialize(to)
    }

    pub(in crate::rides) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<LatLng, D::Error> {
        let (lat, lng) = Deserialize::deserialize(from)?;
        LatLng::new(lat, lng).map_err(D::Error::custom)
    }
}

/// A line, as `Path.microdegrees` in `location.proto`.
pub(super) mod line {
    use rides_proto::{
        convert::{pack_path, unpack_path},
        geo::LatLng,
        v1,
    };
    use serde::{Deserialize, Deserializer, Serialize as _, Serializer, de::Error as _};

    pub(in crate::rides) fn serialize<S: Serializer>(line: &[LatLng], to: S) -> Result<S::Ok, S::Error> {
        pack_path(line).microdegrees.serialize(to)
    }

    pub(in crate::rides) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<LatLng>, D::Error> {
        let path = v1::Path { microdegrees: Vec::deserialize(from)? };
        unpack_path(&path).ok_or_else(|| D::Error::custom("not a line of points on Earth"))
    }
}

/// The id of a car, as a number.
pub(super) mod car {
    use rides_proto::ids::CarId;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(in crate::rides) fn serialize<S: Serializer>(car: &CarId, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(car.get())
    }

    pub(in crate::rides) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<CarId, D::Error> {
        CarId::new(i64::deserialize(from)?)
            .ok_or_else(|| D::Error::custom("the id of a car must be positive"))
    }
}

#[cfg(test)]
mod tests;
