#!/usr/bin/env bash
# libspandsp2 0.0.6+dfsg-2+b1 (Debian 12), the fax of many media servers and gateways (Debian's rtpengine-daemon
# depends on it): a fax over G.711 from one of its machines to another, V.17, one page, 20 ms packets.
#
# Guessed: a packet of the image that is lost and played as silence costs a few lines of the page, or with error
#          correction (ECM) one frame that is sent again; the longer the hole the worse.
# Seen:    20 ms of silence end the fax. The modem takes them for the end of the carrier and the rest of the page for
#          noise; the sender's question after the page meets nobody ("Timer T2 expired while waiting for next fax
#          page"). Without ECM that is so wherever in the page the hole is, with ECM in its first half. If the packet
#          before is played again in place of the lost one, or time is cut short, the page arrives with a handful of
#          bad lines, or whole with ECM, and that holds when two seconds are missing.
# So what a caller does not hear ends a fax, and the length is not what decides: a relay, or a gateway behind it, that
# bridges a hole (takeover, re-routing) in a G.711 call repeats the last packet, or leaves it out, but plays no silence.
#
# Output seen (over 28 places of the hole in the image: faxes that arrived, and the most lines of 1100 bad in one):
#   1 packet, silence: 0 without ECM, 16 with ECM
#   1 packet, repeated: 28 (2 bad), 28
#   1 packet, cut: 28 (2 bad), 28
#   100 packets, cut: 28 (2 bad), 28
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

enum { PACKET = 160, LINES = 1100, PLACES = 28 };
enum fill { NONE, SILENCE, REPEATED, CUT };

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

/* Sends the page; of what the sender says, `count` packets from `first` on are missing. Returns the bad lines, -1 if
   the fax did not arrive. */
static int send_page(int ecm, int first, int count, enum fill fill) {
  fax_state_t *fax[2];
  struct end ends[2];
  int16_t spoken[2][PACKET], heard[PACKET] = {0};
  memset(ends, 0, sizeof ends);
  for (int side = 0; side < 2; side++) {
    fax[side] = fax_init(NULL, side == 0);
    fax_set_transmit_on_idle(fax[side], true);
    t30_state_t *t30 = fax_get_t30_state(fax[side]);
    t30_set_ecm_capability(t30, ecm);
    t30_set_supported_modems(t30, T30_SUPPORT_V27TER | T30_SUPPORT_V29 | T30_SUPPORT_V17);
    t30_set_supported_compressions(t30, T30_SUPPORT_T4_1D_COMPRESSION | T30_SUPPORT_T4_2D_COMPRESSION | T30_SUPPORT_T6_COMPRESSION);
    t30_set_phase_e_handler(t30, finished, &ends[side]);
  }
  t30_set_tx_file(fax_get_t30_state(fax[0]), "/sent.tif", -1, -1);
  t30_set_rx_file(fax_get_t30_state(fax[1]), "/received.tif", -1);
  for (int number = 0; number < 12000 && !(ends[0].finished && ends[1].finished); number++) {
    for (int side = 0; side < 2; side++) {
      int length = fax_tx(fax[side], spoken[side], PACKET);
      memset(spoken[side] + length, 0, (PACKET - length) * sizeof **spoken);
      for (int n = 0; n < PACKET; n++) spoken[side][n] = alaw_to_linear(linear_to_alaw(spoken[side][n]));
    }
    fax_rx(fax[0], spoken[1], PACKET);
    int lost = fill != NONE && number >= first && number < first + count;
    if (lost && fill == CUT) continue;
    if (lost && fill == SILENCE) memset(heard, 0, sizeof heard);
    if (!lost) memcpy(heard, spoken[0], sizeof heard);
    fax_rx(fax[1], heard, PACKET);
  }
  for (int side = 0; side < 2; side++) fax_free(fax[side]);
  int arrived = ends[0].finished && ends[1].finished && ends[0].code == T30_ERR_OK && ends[1].code == T30_ERR_OK
      && ends[1].statistics.pages_rx == 1;
  return arrived ? ends[1].statistics.bad_rows : -1;
}

static int arrived_of_places(int ecm, int count, enum fill fill, int *most_bad) {
  int arrived = 0;
  *most_bad = 0;
  for (int place = 0; place < PLACES; place++) {
    int bad = send_page(ecm, 520 + 20 * place, count, fill);
    if (bad >= 0) arrived++;
    if (bad > *most_bad) *most_bad = bad;
  }
  return arrived;
}

int main(void) {
  int bad, unused;
  draw_page("/sent.tif");
  if (send_page(0, 0, 0, NONE) != 0 || send_page(1, 0, 0, NONE) != 0) return 2;
  int silent = arrived_of_places(0, 1, SILENCE, &bad), silent_ecm = arrived_of_places(1, 1, SILENCE, &unused);
  printf("1 packet, silence: %d without ECM, %d with ECM\n", silent, silent_ecm);
  int same = silent <= 2 && silent_ecm <= 20;
  const struct { const char *name; int count; enum fill fill; } others[] = {
      {"1 packet, repeated", 1, REPEATED}, {"1 packet, cut", 1, CUT}, {"100 packets, cut", 100, CUT}};
  for (int n = 0; n < 3; n++) {
    int plain = arrived_of_places(0, others[n].count, others[n].fill, &bad);
    int ecm = arrived_of_places(1, others[n].count, others[n].fill, &unused);
    printf("%s: %d (%d bad), %d\n", others[n].name, plain, bad, ecm);
    same = same && plain == PLACES && bad < 50 && ecm == PLACES;
  }
  return same ? 0 : 1;
}
C
gcc -O1 --sysroot="$work/root" -o "$work/root/fax" "$work/fax.c" -lspandsp -ltiff -lm -Wl,--allow-shlib-undefined \
  >"$work/gcc.log" 2>&1 || { tail -n 5 "$work/gcc.log"; exit 2; }
timeout 100 chroot "$work/root" /fax
