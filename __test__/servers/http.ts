/** Node's own HTTP server on a free loopback port, for one test. */
import { once } from 'node:events';
import http from 'node:http';
import type net from 'node:net';

/** A running server. */
export interface HttpServer {
  readonly port: number;
  /** Sockets accepted so far. */
  readonly sockets: net.Socket[];
  close(): Promise<void>;
}

/** Starts a server with this handler; what the handler throws ends the test's process. */
export async function httpServer(handler: http.RequestListener, host = '127.0.0.1'): Promise<HttpServer> {
  const server = http.createServer({ keepAliveTimeout: 60_000 }, handler);
  const sockets: net.Socket[] = [];
  server.on('connection', (socket) => sockets.push(socket));
  server.listen(0, host);
  await once(server, 'listening');
  return {
    port: (server.address() as net.AddressInfo).port,
    sockets,
    async close() {
      server.closeAllConnections();
      const closed = once(server, 'close');
      server.close();
      await closed;
    },
  };
}
