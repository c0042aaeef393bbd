/** The fetch that Node.js brings along, as it is: its connections are not limited, so there are as many as loops. */
export const version = () => `undici ${process.versions.undici} in Node.js`;

export async function open({ origin }) {
  const get = async (path, init) => {
    const response = await fetch(origin + path, init);
    if (response.status !== 200) throw new Error(`the server answered ${response.status}`);
    return response;
  };
  const bytes = async (path) => new Uint8Array(await (await get(path)).arrayBuffer());
  return {
    bytes,
    decoded: bytes,
    text: async (path) => (await get(path)).text(),
    down: async (path, take) => {
      for await (const piece of (await get(path)).body) take(piece);
    },
    up: async (path, pieces) => (await get(path, upload(pieces))).text(),
    close: () => undefined,
  };
}

function upload(pieces) {
  return { method: 'POST', body: ReadableStream.from(pieces), duplex: 'half' };
}
