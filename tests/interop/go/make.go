package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// memory is a tlog.HashReader over all stored hashes.
type memory []tlog.Hash

func (m memory) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var all []tlog.Hash
	for _, index := range indexes {
		all = append(all, m[index])
	}
	return all, nil
}

// makeVectors writes proofs and checkpoints that Go made, of the records that cases.py has too.
func makeVectors(path string) {
	seed := bytes.NewReader(bytes.Repeat([]byte{7}, 64))
	secret, key, err := note.GenerateKey(seed, "example.com/go")
	must(err, "key")
	signer, err := note.NewSigner(secret)
	must(err, "signer")

	var stored memory
	vectors := []vector{}
	wanted := map[int64]bool{1: true, 2: true, 3: true, 7: true, 8: true, 13: true, 255: true, 256: true, 257: true}
	for size := int64(1); size <= 257; size++ {
		hashes, err := tlog.StoredHashes(size-1, body(size-1), stored)
		must(err, "append")
		stored = append(stored, hashes...)
		if wanted[size] {
			vectors = append(vectors, makeVector(size, stored, signer, key))
		}
	}
	text, err := json.MarshalIndent(vectors, "", " ")
	must(err, "json")
	must(os.WriteFile(path, append(text, '\n'), 0o644), "%s", path)
}

func body(index int64) []byte {
	return fmt.Appendf(nil, "record %d", index)
}

func makeVector(size int64, stored memory, signer note.Signer, key string) vector {
	root, err := tlog.TreeHash(size, stored)
	must(err, "root")
	text := fmt.Sprintf("example.com/go\n%d\n%s\n", size, root)
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	must(err, "sign")
	v := vector{Key: key, Size: size, Root: root.String(), Checkpoint: string(signed), TlogProofs: []string{}}
	for index := int64(0); index < size; index += max(1, size/5) {
		proof, err := tlog.ProveRecord(size, index, stored)
		must(err, "record proof")
		v.Inclusion = append(v.Inclusion, inclusion{index, string(body(index)), texts(proof)})
	}
	for old := int64(1); old <= size; old += max(1, size/5) {
		proof, err := tlog.ProveTree(size, old, stored)
		must(err, "tree proof")
		oldRoot, err := tlog.TreeHash(old, stored)
		must(err, "old root")
		v.Consistency = append(v.Consistency, consistency{old, oldRoot.String(), texts(proof)})
	}
	return v
}

func texts(hashes []tlog.Hash) []string {
	all := []string{}
	for _, hash := range hashes {
		all = append(all, hash.String())
	}
	return all
}
