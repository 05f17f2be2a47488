#!/usr/bin/env bash
# pion/webrtc 3.1.56 with pion/ice 2.3.1 (Debian 12: golang-github-pion-webrtc.v3-dev 3.1.56-2), a WebRTC stack in
# Go.
#
# Guessed: when its peer's packets come from a new port, a controlled agent moves its media there at a check (RFC
#          8445) with USE-CANDIDATE and a PRIORITY above all others, as browsers do; only a controlling one may
#          stay.
# Seen:    neither moves. Both answer the checks and hear what comes from the new port after the first of them; the
#          controlled one goes on to check the new port itself, with success each time. But all RTP goes to the old
#          port, the state is `disconnected` 5 s after the change and `failed` after 25 s.
# So a relay keeps address and port towards such a peer: no check will fetch its media.
#
# Output seen:
#   controlled:  heard before a check false, afterwards true, RTP to the old port true, to the new port false, states disconnected failed
#   controlling: heard before a check false, afterwards true, RTP to the old port true, to the new port false, states disconnected failed
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried. Needs root (a network
# namespace of its own) and Debian 12's package lists; compiles for 20 s of processor time.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 2; }
mkdir -p "$work/archives/partial" "$work/root"
: >"$work/status"
(cd "$work" && apt-get -q -y --no-install-recommends --download-only \
  -o Dir::State::status="$work/status" -o Dir::Cache::archives="$work/archives" -o Debug::NoLocking=1 \
  install golang-1.19-go golang-github-pion-webrtc.v3-dev=3.1.56-2) >"$work/apt.log" 2>&1 || { tail -n 3 "$work/apt.log"; exit 2; }
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root" || exit 2; done
program=$work/root/usr/share/gocode/src/newport
mkdir "$program"
printf 'module newport\n\ngo 1.13\n' >"$program/go.mod"
cat >"$program/main.go" <<'GO'
package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v3"
)

const address = "10.0.0.1"

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
}

// peer is one side of a call with one stream of PCMA.
type peer struct {
	mutex      sync.Mutex
	connection *webrtc.PeerConnection
	track      *webrtc.TrackLocalStaticRTP
	heard      int
	states     []string
}

func newPeer() *peer {
	capability := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypePCMA, ClockRate: 8000}
	media := &webrtc.MediaEngine{}
	must(media.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: capability, PayloadType: 8}, webrtc.RTPCodecTypeAudio))
	settings := webrtc.SettingEngine{}
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	connection, err := webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	must(err)
	track, err := webrtc.NewTrackLocalStaticRTP(capability, "audio", "stream")
	must(err)
	_, err = connection.AddTrack(track)
	must(err)
	p := &peer{connection: connection, track: track}
	connection.OnTrack(func(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			if _, _, err := remote.ReadRTP(); err != nil {
				return
			}
			p.mutex.Lock()
			p.heard++
			p.mutex.Unlock()
		}
	})
	connection.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		p.mutex.Lock()
		p.states = append(p.states, state.String())
		p.mutex.Unlock()
	})
	return p
}

func (p *peer) now() (int, string) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.heard, strings.Join(p.states, " ")
}

// describe makes an offer or an answer with all candidates in it.
func (p *peer) describe(create func() (webrtc.SessionDescription, error)) string {
	description, err := create()
	must(err)
	gathered := webrtc.GatheringCompletePromise(p.connection)
	must(p.connection.SetLocalDescription(description))
	<-gathered
	return p.connection.LocalDescription().SDP
}

// path hands on what the peers send to each other; what reaches a former face is lost.
type path struct {
	mutex     sync.Mutex
	faces     [2][]*net.UDPConn
	peers     [2]*net.UDPAddr
	rtp       [2][2]int // by side and face
	successes int       // at second faces
}

func (p *path) face(side int) *net.UDPConn {
	connection, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(address)})
	must(err)
	p.mutex.Lock()
	number := len(p.faces[side])
	p.faces[side] = append(p.faces[side], connection)
	p.mutex.Unlock()
	go func() {
		message := make([]byte, 4096)
		for {
			length, from, err := connection.ReadFromUDP(message)
			if err != nil {
				return
			}
			p.mutex.Lock()
			p.peers[side] = from
			if message[0] >= 128 && message[1]&127 == 8 {
				p.rtp[side][number]++
			}
			if number == 1 && message[0] == 1 && message[1] == 1 {
				p.successes++
			}
			if others := p.faces[1-side]; number == len(p.faces[side])-1 && p.peers[1-side] != nil {
				_, _ = others[len(others)-1].WriteToUDP(message[:length], p.peers[1-side])
			}
			p.mutex.Unlock()
		}
	}()
	return connection
}

// through is the SDP of one side, its candidates replaced by the socket that faces the other.
func (p *path) through(sdp string, side int) string {
	lines, isDone := []string{}, false
	for _, line := range strings.Split(sdp, "\r\n") {
		if strings.HasPrefix(line, "a=candidate:") {
			fields := strings.Split(line, " ")
			if isDone || fields[4] != address || fields[1] != "1" {
				continue
			}
			fields[5], isDone = fmt.Sprint(p.faces[1-side][0].LocalAddr().(*net.UDPAddr).Port), true
			line = strings.Join(fields, " ")
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\r\n")
}

// check is a binding request as a full agent sends it (RFC 8445 section 7.1).
func check(user, password string, isControlling bool) []byte {
	identity := make([]byte, 12)
	_, err := rand.Read(identity)
	must(err)
	head := func(length int) []byte {
		bytes := []byte{0, 1, byte(length >> 8), byte(length), 0x21, 0x12, 0xa4, 0x42}
		return append(bytes, identity...)
	}
	attribute := func(kind uint16, content []byte) []byte {
		bytes := append([]byte{byte(kind >> 8), byte(kind), byte(len(content) >> 8), byte(len(content))}, content...)
		for len(bytes)%4 != 0 {
			bytes = append(bytes, 0)
		}
		return bytes
	}
	body := append(attribute(0x0006, []byte(user)), attribute(0x0024, []byte{0x7f, 0xff, 0xff, 0xff})...)
	if isControlling {
		body = append(append(body, attribute(0x0025, nil)...), attribute(0x802a, []byte{255, 255, 255, 255, 255, 255, 255, 255})...)
	} else {
		body = append(body, attribute(0x8029, make([]byte, 8))...)
	}
	mac := hmac.New(sha1.New, []byte(password))
	mac.Write(append(head(len(body)+24), body...))
	body = append(body, attribute(0x0008, mac.Sum(nil))...)
	fingerprint := make([]byte, 4)
	binary.BigEndian.PutUint32(fingerprint, crc32.ChecksumIEEE(append(head(len(body)+8), body...))^0x5354554e)
	return append(append(head(len(body)+8), body...), attribute(0x8028, fingerprint)...)
}

func value(sdp, name string) string {
	return regexp.MustCompile("(?m)^a=" + name + `:(\S+)`).FindStringSubmatch(sdp)[1]
}

// newPort makes a call, changes the port that one side talks to, and sends checks from the new one.
func newPort(side int) string {
	peers, p := [2]*peer{newPeer(), newPeer()}, &path{}
	p.face(0)
	p.face(1)
	offer := peers[0].describe(func() (webrtc.SessionDescription, error) { return peers[0].connection.CreateOffer(nil) })
	must(peers[1].connection.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: p.through(offer, 0)}))
	answer := peers[1].describe(func() (webrtc.SessionDescription, error) { return peers[1].connection.CreateAnswer(nil) })
	must(peers[0].connection.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: p.through(answer, 1)}))
	go func() {
		for number := 0; ; number++ {
			for _, each := range peers {
				header := rtp.Header{Version: 2, PayloadType: 8, SequenceNumber: uint16(number), Timestamp: uint32(number * 160)}
				_ = each.track.WriteRTP(&rtp.Packet{Header: header, Payload: make([]byte, 160)})
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	moved := peers[side]
	for number := 0; ; number++ {
		if heard, _ := moved.now(); heard > 100 {
			break
		}
		if number == 200 {
			return "no call"
		}
		time.Sleep(100 * time.Millisecond)
	}
	face := p.face(side)
	time.Sleep(300 * time.Millisecond)
	before, known := moved.now()
	time.Sleep(700 * time.Millisecond)
	early, _ := moved.now()
	own, other := offer, answer
	if side == 1 {
		own, other = answer, offer
	}
	for number := 0; number < 5; number++ {
		p.mutex.Lock()
		to := p.peers[side]
		p.mutex.Unlock()
		_, err := face.WriteToUDP(check(value(own, "ice-ufrag")+":"+value(other, "ice-ufrag"), value(own, "ice-pwd"), side == 1), to)
		must(err)
		time.Sleep(200 * time.Millisecond)
	}
	p.mutex.Lock()
	counted, successes := p.rtp[side], p.successes
	p.mutex.Unlock()
	if successes == 0 {
		return "the checks were not answered"
	}
	afterChecks, _ := moved.now()
	time.Sleep(4 * time.Second)
	late, _ := moved.now()
	p.mutex.Lock()
	now := p.rtp[side]
	p.mutex.Unlock()
	states := known
	for number := 0; number < 300 && !strings.HasSuffix(states, "failed"); number++ {
		time.Sleep(100 * time.Millisecond)
		_, states = moved.now()
	}
	return fmt.Sprintf("heard before a check %t, afterwards %t, RTP to the old port %t, to the new port %t, states%s",
		early-before > 10, late-afterChecks > 100, now[0]-counted[0] > 100, now[1]-counted[1] > 100, strings.TrimPrefix(states, known))
}

func main() {
	results := [2]chan string{make(chan string), make(chan string)}
	for side := range results {
		go func(side int) { results[side] <- newPort(side) }(side)
	}
	controlling, controlled := <-results[0], <-results[1]
	fmt.Println("controlled: ", controlled)
	fmt.Println("controlling:", controlling)
	const seen = "heard before a check false, afterwards true, RTP to the old port true, to the new port false, states disconnected failed"
	switch {
	case !strings.HasPrefix(controlled, "heard") || !strings.HasPrefix(controlling, "heard"):
		os.Exit(2)
	case controlled != seen || controlling != seen:
		os.Exit(1)
	}
}
GO
(cd "$program" && HOME=$work GOROOT=$work/root/usr/lib/go-1.19 GO111MODULE=off GOPATH=$work/root/usr/share/gocode \
  GOCACHE=$work/cache CGO_ENABLED=0 GOFLAGS= "$work/root/usr/lib/go-1.19/bin/go" build -o "$work/newport" newport) || exit 2
timeout 60 unshare -n sh -c 'ip link set lo up && ip link add media0 type veth peer name media1 && ip link set media1 up &&
  ip address add 10.0.0.1/24 dev media0 && ip link set media0 up || exit 2
  exec "$1"' sh "$work/newport"
