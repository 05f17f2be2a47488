#!/usr/bin/env bash
# libspandsp2 0.0.6+dfsg-2+b1 (Debian 12), T.38: a fax of one page between two of its terminals, each IFP packet handed over
# with its UDPTL sequence number.
#
# Guessed: numbers that step back once in the middle of a page (the gateway that makes the T.38 was taken over by another
#          one, which goes on from what was stored some seconds ago) are a new start: a line or two are missing, or with
#          error correction (ECM) a frame is sent again; and a page that lacks a good part is not confirmed.
# Seen:    every packet is dropped as a late one until the numbers are where they were. After a step of 200 the page lacks
#          300 of its 1100 lines, and without ECM both ends report success for it. With ECM it is sent again if the step is
#          made up for in time, else, and with 1000 in any case, the fax fails. Steps back by 4000, and forward by any
#          amount, cost nothing.
# So who takes over a T.38 stream that he makes himself goes on with a number that is certainly higher; a little behind
# takes lines out of faxes that the sender holds a confirmation for. (Lost packets do as well: 0.8 s of them are 40 lines.)
#
# Output seen (over 10 places of the event in the page: faxes that both ends report as arrived, without ECM and with; of
# those without it, the fewest lines that came out):
#   none: 10 10, 1100 lines
#   0.8 s lost: 10 10, 1060 lines
#   numbers +1000: 10 10, 1100 lines
#   numbers -200: 10 6, 798 lines
#   numbers -1000: 0 0
#   numbers -4000: 10 10, 1100 lines
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Needs root (chroot into
# a folder of its own), gcc, and Debian 12's package lists.
set -u
version=0.0.6+dfsg-2+b1
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 2; }
mkdir -p "$work/archives/partial" "$work/root"
: >"$work/status"
(cd "$work" && apt-get -q -y --no-install-recommends --download-only \
  -o Dir::State::status="$work/status" -o Dir::Cache::archives="$work/archives" -o Debug::NoLocking=1 \
  install "libspandsp2=$version" "libspandsp-dev=$version" libtiff-dev) >"$work/apt.log" 2>&1 ||
  { tail -n 3 "$work/apt.log"; exit 2; }
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root" || exit 2; done

cat >"$work/fax.c" <<'C'
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <tiffio.h>
#include <spandsp.h>

enum { SAMPLES = 160, LINES = 1100, PLACES = 10 };

struct end { int finished, code; t30_stats_t statistics; };

static void finished(t30_state_t *fax, void *data, int code) {
  struct end *end = data;
  end->finished = 1;
  end->code = code;
  t30_get_transfer_statistics(fax, &end->statistics);
}

static void draw_page(const char *file) {
  TIFF *page = TIFFOpen(file, "w");
  unsigned char line[216];
  TIFFSetField(page, TIFFTAG_IMAGEWIDTH, 1728);
  TIFFSetField(page, TIFFTAG_IMAGELENGTH, LINES);
  TIFFSetField(page, TIFFTAG_BITSPERSAMPLE, 1);
  TIFFSetField(page, TIFFTAG_SAMPLESPERPIXEL, 1);
  TIFFSetField(page, TIFFTAG_COMPRESSION, COMPRESSION_CCITT_T4);
  TIFFSetField(page, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISWHITE);
  TIFFSetField(page, TIFFTAG_FILLORDER, FILLORDER_LSB2MSB);
  TIFFSetField(page, TIFFTAG_ROWSPERSTRIP, LINES);
  TIFFSetField(page, TIFFTAG_XRESOLUTION, 204.0);
  TIFFSetField(page, TIFFTAG_YRESOLUTION, 98.0);
  TIFFSetField(page, TIFFTAG_RESOLUTIONUNIT, RESUNIT_INCH);
  for (int y = 0; y < LINES; y++) {
    for (int x = 0; x < 216; x++) line[x] = (x / 9 + y / 40) % 4 == 0 ? 0x3c : 0;
    TIFFWriteScanline(page, line, y, 0);
  }
  TIFFClose(page);
}

struct packet { int to, length, number; uint8_t bytes[400]; };
static struct packet queue[1000];
static int queued, sent[2];
/* The event: from the tick `at` on, 38 ticks lose what the sender says if `lost`, and its numbers are changed by `step`. */
static struct event { int at, lost, step; } event;
static int tick;

static int transmit(t38_core_state_t *core, void *data, const uint8_t *bytes, int length, int count) {
  int side = (int)(intptr_t)data, number = 5000 + sent[side]++;  // as after some pages
  if (side == 0 && tick >= event.at) {
    number += event.step;
    if (event.lost && tick < event.at + 38) return 0;
  }
  if (queued < 1000 && length <= 400) {
    struct packet *packet = &queue[queued++];
    *packet = (struct packet){.to = 1 - side, .length = length, .number = number & 0xffff};
    memcpy(packet->bytes, bytes, length);
  }
  return 0;
}

/* The lines that came out, 0 if either end reports a failure (1 with ECM, which does not count them). */
static int arrives(int ecm) {
  t38_terminal_state_t *fax[2];
  struct end ends[2];
  memset(ends, 0, sizeof ends);
  sent[0] = sent[1] = queued = 0;
  for (int side = 0; side < 2; side++) {
    fax[side] = t38_terminal_init(NULL, side == 0, transmit, (void *)(intptr_t)side);
    t30_state_t *t30 = t38_terminal_get_t30_state(fax[side]);
    t30_set_ecm_capability(t30, ecm);
    t30_set_supported_modems(t30, T30_SUPPORT_V27TER | T30_SUPPORT_V29 | T30_SUPPORT_V17);
    t30_set_supported_compressions(t30, T30_SUPPORT_T4_1D_COMPRESSION | T30_SUPPORT_T4_2D_COMPRESSION | T30_SUPPORT_T6_COMPRESSION);
    t30_set_phase_e_handler(t30, finished, &ends[side]);
  }
  t30_set_tx_file(t38_terminal_get_t30_state(fax[0]), "/sent.tif", -1, -1);
  t30_set_rx_file(t38_terminal_get_t30_state(fax[1]), "/received.tif", -1);
  for (tick = 0; tick < 6000 && !(ends[0].finished && ends[1].finished); tick++) {
    static struct packet due[1000];
    for (int side = 0; side < 2; side++) t38_terminal_send_timeout(fax[side], SAMPLES);
    int count = queued;
    memcpy(due, queue, sizeof *due * count);
    queued = 0;
    for (int n = 0; n < count; n++)
      t38_core_rx_ifp_packet(t38_terminal_get_t38_core_state(fax[due[n].to]), due[n].bytes, due[n].length, due[n].number);
  }
  for (int side = 0; side < 2; side++) t38_terminal_free(fax[side]);
  int arrived = ends[0].finished && ends[1].finished && ends[0].code == T30_ERR_OK && ends[1].code == T30_ERR_OK
      && ends[1].statistics.pages_rx == 1;
  return !arrived ? 0 : ecm ? 1 : ends[1].statistics.length;
}

int main(void) {
  draw_page("/sent.tif");
  const struct { const char *name; struct event event; } cases[] = {
      {"none", {0}}, {"0.8 s lost", {.lost = 1}}, {"numbers +1000", {.step = 1000}},
      {"numbers -200", {.step = -200}}, {"numbers -1000", {.step = -1000}}, {"numbers -4000", {.step = -4000}}};
  int arrived[6][2] = {0}, fewest[6];
  for (int n = 0; n < 6; n++) {
    fewest[n] = LINES;
    for (int ecm = 0; ecm < 2; ecm++)
      for (int place = 0; place < PLACES; place++) {
        event = cases[n].event;
        event.at = 600 + 50 * place;
        int lines = arrives(ecm);
        arrived[n][ecm] += lines > 0;
        if (!ecm && lines > 0 && lines < fewest[n]) fewest[n] = lines;
      }
    printf("%s: %d %d", cases[n].name, arrived[n][0], arrived[n][1]);
    if (arrived[n][0]) printf(", %d lines", fewest[n]);
    printf("\n");
  }
  if (arrived[0][0] < PLACES || arrived[0][1] < PLACES || fewest[0] != LINES) return 2;
  int forward = arrived[2][0] == PLACES && arrived[2][1] == PLACES && fewest[2] > 1090;
  int far_back = arrived[5][0] == PLACES && arrived[5][1] == PLACES && fewest[5] > 1090;
  int back = arrived[3][0] == PLACES && fewest[3] < 850 && arrived[4][0] + arrived[4][1] == 0;
  return forward && far_back && back ? 0 : 1;
}
C
gcc -O1 --sysroot="$work/root" -o "$work/root/fax" "$work/fax.c" -lspandsp -ltiff -lm -Wl,--allow-shlib-undefined \
  >"$work/gcc.log" 2>&1 || { tail -n 5 "$work/gcc.log"; exit 2; }
timeout 100 chroot "$work/root" /fax
