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

export const booking = (more) => ({ requestId: unique("request"), riderId: "ada", pickup: SQUARE, dropoff: HARBOUR, ...more });
