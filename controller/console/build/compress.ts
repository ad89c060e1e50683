import { promises as fs } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import type { Plugin } from "vite";

const KINDS = /\.(js|css|html|svg|json)$/;

/** Puts `X.br` and `X.gz` beside every text of the bundle, so that the controller compresses nothing while it runs. */
export function compress(): Plugin {
  return {
    name: "muster-compress",
    apply: "build",
    async writeBundle(options, bundle) {
      const folder = options.dir ?? "dist";
      const names = Object.keys(bundle).filter((name) => KINDS.test(name));
      await Promise.all(names.map((name) => compressFile(path.join(folder, name))));
    },
  };
}

async function compressFile(file: string): Promise<void> {
  const text = await fs.readFile(file);
  const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } };
  await fs.writeFile(`${file}.br`, await promisify(brotliCompress)(text, quality));
  await fs.writeFile(`${file}.gz`, await promisify(gzip)(text, { level: 9 }));
}
