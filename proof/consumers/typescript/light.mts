/** A TypeScript user who names nothing of Node's: only the package's own types do. */
import { HTTPConnectionPool } from 'ferropool';

const response = await new HTTPConnectionPool('localhost').request('GET', '/');
export const text: string = response.data.toString('utf8');
// @ts-expect-error There is no such method: if this compiled, the data would be `any`.
response.data.pour();
