// Where checks happen, and who takes part.

/** In the city that comes with the server. */
export const SQUARE = { lat: 60.171, lng: 24.941 };
export const HARBOUR = { lat: 60.167, lng: 24.947 };
/** On Earth, and far from any street. */
export const AT_SEA = { lat: 0, lng: 0 };
/** No place at all. */
export const NOWHERE = { lat: Number.NaN, lng: 0 };

export const VIEW = { viewport: { south: 60.165, west: 24.935, north: 60.175, east: 24.95 } };

/** A name that nobody else has. */
export const unique = (what) => `${what}-${crypto.randomUUID()}`;

/** A car that nobody else drives. */
export const anyCar = () => BigInt(1_000 + Math.floor(Math.random() * 1e9));

/** A place in VIEW where nobody else is. */
export const somewhere = () => ({ lat: 60.168 + Math.random() * 0.004, lng: 24.938 + Math.random() * 0.008 });

/** Whether one of the cars of a map cell is at a place, to a ten-thousandth of a degree. */
export function isIn(frame, { lat, lng }) {
  const [x, y] = [Math.floor(frame.cell / 32768), frame.cell % 32768];
  return frame.dx.some((dx, car) => {
    const [east, south] = [x + 0.5 + dx / 16384, y + 0.5 + frame.dy[car] / 16384];
    const found = { lat: (Math.atan(Math.sinh(Math.PI * (1 - south / 16384))) * 180) / Math.PI, lng: (east / 32768) * 360 - 180 };
    return Math.abs(found.lat - lat) < 1e-4 && Math.abs(found.lng - lng) < 1e-4;
  });
}

export const booking = (more) => ({ requestId: unique("request"), riderId: "ada", pickup: SQUARE, dropoff: HARBOUR, ...more });
