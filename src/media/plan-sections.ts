/** Sections of an encoded plan: the layout is the table in `native/core/plan.h`. */
import type { DemuxTable, ExtensionRewrite, OwnRtcpPlan, RewritePlan } from './packet-plan.js';

/** Where the encoder puts numbers and texts; each throws RangeError for what does not fit. */
export interface PlanSink {
  u8(value: number): void;
  u16(value: number): void;
  u32(value: number): void;
  /** With its length before it, 16 bits. */
  longText(text: string): void;
}

export function writeDemuxTable(out: PlanSink, { midExtension, streams }: DemuxTable): void {
  out.u8(midExtension ?? 0);
  out.u16(streams.length);
  for (const { streamId, mid, ssrcs, payloadTypes } of streams) {
    out.u32(streamId);
    out.longText(mid ?? '');
    out.u16(ssrcs.length);
    for (const ssrc of ssrcs) out.u32(ssrc);
    out.u8(payloadTypes.length);
    for (const type of payloadTypes) out.u8(type);
  }
}

export function writeRewrite(out: PlanSink, rewrite: RewritePlan): void {
  const { payloadTypes, ssrcs, sequenceOffset, timestampOffset, extensions, about } = rewrite;
  out.u8((extensions === null ? 0 : 1) | (about === null ? 0 : 2));
  out.u8(payloadTypes.size);
  for (const [from, to] of payloadTypes) {
    out.u8(from);
    out.u8(to);
  }
  writeSsrcs(out, ssrcs);
  out.u16(sequenceOffset);
  out.u32(timestampOffset);
  if (extensions !== null) writeExtensions(out, extensions);
  if (about === null) return;
  writeSsrcs(out, about.ssrcs);
  out.u16(about.sequenceOffset);
}

function writeSsrcs(out: PlanSink, ssrcs: ReadonlyMap<number, number>): void {
  out.u16(ssrcs.size);
  for (const [from, to] of ssrcs) {
    out.u32(from);
    out.u32(to);
  }
}

function writeExtensions(out: PlanSink, { ids, others, mid }: ExtensionRewrite): void {
  out.u8(others === 'keep' ? 1 : 0);
  out.u8(ids.size);
  for (const [from, to] of ids) {
    out.u8(from);
    out.u8(to ?? 0);
  }
  out.u8(mid?.id ?? 0);
  out.longText(mid?.value ?? '');
}

export function writeOwnRtcp(out: PlanSink, { by, reports, keyFrames }: OwnRtcpPlan): void {
  out.u32(by);
  out.u32(reports?.intervalMs ?? 0);
  out.longText(reports?.cname ?? '');
  out.u8((keyFrames?.pli === true ? 1 : 0) | (keyFrames?.fir === true ? 2 : 0));
  const types = keyFrames?.payloadTypes ?? [];
  out.u8(types.length);
  for (const type of types) out.u8(type);
}

/** Upper bounds of their sizes with tag and length, bytes. */
export function demuxTableBound({ streams }: DemuxTable): number {
  let size = 6;
  for (const { mid, ssrcs, payloadTypes } of streams)
    size += 9 + (mid?.length ?? 0) + 4 * ssrcs.length + payloadTypes.length;
  return size;
}

export function rewriteBound({ payloadTypes, ssrcs, extensions, about }: RewritePlan): number {
  const ids = extensions === null ? 0 : 5 + 2 * extensions.ids.size;
  const mid = extensions?.mid?.value.length ?? 0;
  const reverse = about === null ? 0 : 4 + 8 * about.ssrcs.size;
  return 13 + 2 * payloadTypes.size + 8 * ssrcs.size + ids + mid + reverse;
}

export const ownRtcpBound = ({ reports, keyFrames }: OwnRtcpPlan): number =>
  15 + (reports?.cname.length ?? 0) + (keyFrames?.payloadTypes.length ?? 0);
