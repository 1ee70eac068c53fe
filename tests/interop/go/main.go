// Interop reads what our evidence room exports and accepts it with golang.org/x/mod's sumdb/tlog and sumdb/note, a
// log implementation that shares no line with ours; and it flips bits, and says if one of them is accepted.
//
//	interop check FILE.json...   proofs, checkpoints and receipts (cases.py wrote them)
//	interop tiles FOLDER...      an export: checkpoint, key, tile/
//	interop make FILE.json       vectors of Go's own, for our verifier
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

var counted struct{ accepted, refused int }

func main() {
	if len(os.Args) < 3 {
		fail("usage: interop check|tiles|make PATH...")
	}
	for _, path := range os.Args[2:] {
		switch os.Args[1] {
		case "check":
			checkFile(path)
		case "tiles":
			checkTiles(path)
		case "make":
			makeVectors(path)
		default:
			fail("unknown command %s", os.Args[1])
		}
	}
	fmt.Printf("go %s: %d accepted, %d flipped and refused\n", os.Args[1], counted.accepted, counted.refused)
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}

func must(err error, what string, args ...any) {
	if err != nil {
		fail(what+": "+err.Error(), args...)
	}
	counted.accepted++
}

func mustNot(err error, what string, args ...any) {
	if err == nil {
		fail(what+": accepted, although a bit of it was flipped", args...)
	}
	counted.refused++
}

// openCheckpoint verifies a signed note and reads the tree in it, as C2SP tlog-checkpoint has it.
func openCheckpoint(text []byte, key string) (tree tlog.Tree, err error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return tree, err
	}
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return tree, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tree, fmt.Errorf("malformed checkpoint, or of another log")
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return tree, err
	}
	tree.Hash, err = tlog.ParseHash(lines[2])
	return tree, err
}

type inclusion struct {
	Index int64    `json:"index"`
	Body  string   `json:"body"`
	Proof []string `json:"proof"`
}

type consistency struct {
	Old     int64    `json:"old"`
	OldRoot string   `json:"old_root"`
	Proof   []string `json:"proof"`
}

type vector struct {
	Key         string        `json:"key"`
	Size        int64         `json:"size"`
	Root        string        `json:"root"`
	Checkpoint  string        `json:"checkpoint"`
	Inclusion   []inclusion   `json:"inclusion"`
	Consistency []consistency `json:"consistency"`
	TlogProofs  []string      `json:"tlog_proofs"` // of the same records as Inclusion
}

func checkFile(path string) {
	raw, err := os.ReadFile(path)
	must(err, "%s", path)
	var vectors []vector
	must(json.Unmarshal(raw, &vectors), "%s", path)
	for _, v := range vectors {
		where := fmt.Sprintf("%s, size %d", path, v.Size)
		tree, err := openCheckpoint([]byte(v.Checkpoint), v.Key)
		must(err, "%s: checkpoint", where)
		if tree.N != v.Size || tree.Hash != parse(v.Root) {
			fail("%s: the checkpoint is of another tree", where)
		}
		for _, flipped := range flips([]byte(v.Checkpoint), 1) {
			// Go reads base64 in more than one spelling; what it then opens must still be the same tree.
			if other, err := openCheckpoint(flipped, v.Key); err != nil || other != tree {
				mustNot(err, "%s: checkpoint", where)
			}
		}
		for at, each := range v.Inclusion {
			checkInclusion(fmt.Sprintf("%s: inclusion of %d", where, each.Index), tree, each)
			checkTlogProof(fmt.Sprintf("%s: tlog-proof %d", where, at), v, each, v.TlogProofs[at])
		}
		for _, each := range v.Consistency {
			checkConsistency(fmt.Sprintf("%s: consistency with %d", where, each.Old), tree, each)
		}
	}
}

func checkInclusion(where string, tree tlog.Tree, each inclusion) {
	leaf := tlog.RecordHash([]byte(each.Body))
	proof := tlog.RecordProof(parseAll(each.Proof))
	must(tlog.CheckRecord(proof, tree.N, tree.Hash, each.Index, leaf), "%s", where)
	for _, flipped := range flipHash(leaf) {
		mustNot(tlog.CheckRecord(proof, tree.N, tree.Hash, each.Index, flipped), "%s: leaf", where)
	}
	for _, flipped := range flipHash(tree.Hash) {
		mustNot(tlog.CheckRecord(proof, tree.N, flipped, each.Index, leaf), "%s: root", where)
	}
	for _, flipped := range flipEach(proof) {
		mustNot(tlog.CheckRecord(flipped, tree.N, tree.Hash, each.Index, leaf), "%s: proof", where)
	}
}

func checkConsistency(where string, tree tlog.Tree, each consistency) {
	old, proof := parse(each.OldRoot), tlog.TreeProof(parseAll(each.Proof))
	must(tlog.CheckTree(proof, tree.N, tree.Hash, each.Old, old), "%s", where)
	for _, flipped := range flipHash(old) {
		mustNot(tlog.CheckTree(proof, tree.N, tree.Hash, each.Old, flipped), "%s: old root", where)
	}
	for _, flipped := range flipHash(tree.Hash) {
		mustNot(tlog.CheckTree(proof, tree.N, flipped, each.Old, old), "%s: new root", where)
	}
	for _, flipped := range flipEach(proof) {
		mustNot(tlog.CheckTree(flipped, tree.N, tree.Hash, each.Old, old), "%s: proof", where)
	}
}

// checkTlogProof reads a C2SP tlog-proof by its specification alone.
func checkTlogProof(where string, v vector, each inclusion, text string) {
	head, checkpoint, found := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		fail("%s: malformed", where)
	}
	index, found := strings.CutPrefix(lines[1], "index ")
	if !found || index != strconv.FormatInt(each.Index, 10) {
		fail("%s: another index: %s", where, index)
	}
	tree, err := openCheckpoint([]byte(checkpoint), v.Key)
	must(err, "%s: checkpoint", where)
	leaf := tlog.RecordHash([]byte(each.Body))
	must(tlog.CheckRecord(parseAll(lines[2:]), tree.N, tree.Hash, each.Index, leaf), "%s", where)
}

func parse(text string) tlog.Hash {
	hash, err := tlog.ParseHash(text)
	if err != nil {
		fail("%s: %v", text, err)
	}
	return hash
}

func parseAll(texts []string) []tlog.Hash {
	hashes := []tlog.Hash{}
	for _, text := range texts {
		hashes = append(hashes, parse(text))
	}
	return hashes
}

// flips is the bytes with each bit flipped in turn; of every nth byte only.
func flips(raw []byte, nth int) [][]byte {
	var all [][]byte
	for at := 0; at < len(raw); at += nth {
		for bit := range 8 {
			flipped := append([]byte(nil), raw...)
			flipped[at] ^= 1 << bit
			all = append(all, flipped)
		}
	}
	return all
}

func flipHash(hash tlog.Hash) []tlog.Hash {
	var all []tlog.Hash
	for _, flipped := range flips(hash[:], 1) {
		all = append(all, tlog.Hash(flipped))
	}
	return all
}

func flipEach(proof []tlog.Hash) [][]tlog.Hash {
	var all [][]tlog.Hash
	for at := range proof {
		for _, flipped := range flipHash(proof[at]) {
			changed := append([]tlog.Hash(nil), proof...)
			changed[at] = flipped
			all = append(all, changed)
		}
	}
	return all
}
