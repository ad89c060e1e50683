import { api, body } from "@/api/client";
import { ApiError } from "@/api/problem";
import type { PackageUpload, PackageView } from "@/api/schema";

/** Bytes of a piece: what is sent again where it is cut off. */
const PIECE = 4 * 1024 * 1024;
/** The largest file that a controller takes is a little smaller; a larger one is not even read. */
export const MOST_BYTES = 514 * 1024 * 1024;
/** Attempts in a row that may fail. */
const ATTEMPTS = 5;
/** Refusals that pass: the connection broke, or what is there was not what was thought. */
const PASSING = ["network", "upload-offset", "upload-broken", "unavailable"];

/** How far an upload is. */
export type Progress =
  | { step: "digest" }
  | { step: "sending"; sent: number; size: number }
  | { step: "waiting"; sent: number; size: number; seconds: number; why: string };

/** SHA-256 of a file, in hexadecimal. The browser's own function wants all of it at once. */
async function digest(file: File): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Uploads a package, from where an earlier attempt broke off; the controller verifies it with the last piece. `tell` hears
 * how far it is. What is refused for good is thrown, with the controller's words.
 */
export async function uploadFile(
  file: File,
  signal: AbortSignal,
  tell: (progress: Progress) => void,
): Promise<PackageView> {
  tell({ step: "digest" });
  const sha256 = await digest(file);
  let failed = 0;
  for (;;) {
    let sent = 0;
    try {
      return await attempt(file, sha256, signal, (offset) => {
        failed = 0;
        sent = offset;
        tell({ step: "sending", sent, size: file.size });
      });
    } catch (error) {
      signal.throwIfAborted();
      const passing = error instanceof ApiError && PASSING.includes(error.code);
      if (!passing || failed >= ATTEMPTS) throw error;
      const seconds = 2 ** failed;
      failed += 1;
      tell({ step: "waiting", sent, size: file.size, seconds, why: error.message });
      await pause(seconds, signal);
    }
  }
}

/** Sends what is not there yet. */
async function attempt(
  file: File,
  sha256: string,
  signal: AbortSignal,
  sent: (offset: number) => void,
): Promise<PackageView> {
  const params = { path: { sha256 } };
  let upload: PackageUpload = await body(
    api.PUT("/api/v1/packages/uploads/{sha256}", { params, body: { size: file.size }, signal }),
  );
  while (!upload.package) {
    const { offset } = upload;
    sent(offset);
    const piece = await file.slice(offset, offset + PIECE).arrayBuffer();
    upload = await body(
      api.PATCH("/api/v1/packages/uploads/{sha256}", {
        params: { ...params, header: { "Upload-Offset": offset } },
        headers: { "content-type": "application/octet-stream" },
        // The document describes bytes as a text.
        body: "",
        bodySerializer: () => piece,
        signal,
      }),
    );
  }
  sent(file.size);
  return upload.package;
}

function pause(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1_000);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        reject(new DOMException("", "AbortError"));
      },
      { once: true },
    );
  });
}
