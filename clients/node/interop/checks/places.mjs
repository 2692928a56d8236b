// The places, cars and names of the checks.

/** Two places on the built-in map of the server. */
export const SQUARE = { lat: 60.171, lng: 24.941 };
export const HARBOUR = { lat: 60.167, lng: 24.947 };
/** A point on Earth, far from any street. */
export const AT_SEA = { lat: 0, lng: 0 };
/** An invalid location. */
export const NOWHERE = { lat: Number.NaN, lng: 0 };

export const VIEW = { viewport: { south: 60.165, west: 24.935, north: 60.175, east: 24.95 } };

/** Returns a unique name. */
export const unique = (what) => `${what}-${crypto.randomUUID()}`;

/** Returns the id of a car that no other check uses. */
export const anyCar = () => BigInt(1_000 + Math.floor(Math.random() * 1e9));

/** Returns a random place in VIEW. */
export const somewhere = () => ({ lat: 60.168 + Math.random() * 0.004, lng: 24.938 + Math.random() * 0.008 });

/** Returns true if a car of a map cell is at a place, to a ten-thousandth of a degree. */
export function isIn(frame, { lat, lng }) {
  const [x, y] = [Math.floor(frame.cell / 32768), frame.cell % 32768];
  return frame.dx.some((dx, car) => {
    const [east, south] = [x + 0.5 + dx / 16384, y + 0.5 + frame.dy[car] / 16384];
    const found = { lat: (Math.atan(Math.sinh(Math.PI * (1 - south / 16384))) * 180) / Math.PI, lng: (east / 32768) * 360 - 180 };
    return Math.abs(found.lat - lat) < 1e-4 && Math.abs(found.lng - lng) < 1e-4;
  });
}

export const booking = (more) => ({ requestId: unique("request"), riderId: "ada", pickup: SQUARE, dropoff: HARBOUR, ...more });
