package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// folder reads C2SP tiles for tlog.TileHashReader. Its paths lack the height that tlog puts into them. A bit in the
// middle of the tile at path is flipped; read counts what was read.
type folder struct {
	root string
	path string
	bit  int
	read map[string]tlog.Tile
}

func (f *folder) Height() int { return 8 }

func (f *folder) SaveTiles([]tlog.Tile, [][]byte) {}

func (f *folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := os.ReadFile(filepath.Join(f.root, path))
		if err != nil {
			return nil, err
		}
		f.read[path] = tile
		if path == f.path {
			data[len(data)/2] ^= 1 << f.bit
		}
		all = append(all, data)
	}
	return all, nil
}

func checkTiles(root string) {
	key, err := os.ReadFile(filepath.Join(root, "key"))
	must(err, "%s", root)
	text, err := os.ReadFile(filepath.Join(root, "checkpoint"))
	must(err, "%s", root)
	tree, err := openCheckpoint(text, strings.TrimSpace(string(key)))
	must(err, "%s: checkpoint", root)
	if tree.N == 0 {
		return
	}

	honest := &folder{root: root, read: map[string]tlog.Tile{}}
	reader := tlog.TileHashReader(tree, honest)
	leaves := leafHashes(root, reader, tree)
	checkEntries(root, tree, leaves)

	// Every tile that Go read by itself, and each with a bit flipped.
	for path, tile := range honest.read {
		below := tlog.StoredHashIndex(0, tile.N<<(8*(tile.L+1)))
		for bit := range 8 {
			forged := &folder{root, path, bit, map[string]tlog.Tile{}}
			_, err := tlog.TileHashReader(tree, forged).ReadHashes([]int64{below})
			mustNot(err, "%s: %s", root, path)
		}
	}
	step := max(1, tree.N/500)
	for index := int64(0); index < tree.N; index += step {
		proof, err := tlog.ProveRecord(tree.N, index, reader)
		must(err, "%s: proving %d from tiles", root, index)
		must(tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaves[index]), "%s: record %d", root, index)
	}
	for old := int64(1); old <= tree.N; old += max(1, tree.N/100) {
		proof, err := tlog.ProveTree(tree.N, old, reader)
		must(err, "%s: proving size %d from tiles", root, old)
		oldRoot, err := tlog.TreeHash(old, reader)
		must(err, "%s: root of size %d from tiles", root, old)
		must(tlog.CheckTree(proof, tree.N, tree.Hash, old, oldRoot), "%s: size %d", root, old)
	}
}

func leafHashes(root string, reader tlog.HashReader, tree tlog.Tree) []tlog.Hash {
	var all []tlog.Hash
	for begin := int64(0); begin < tree.N; begin += 256 {
		var indexes []int64
		for index := begin; index < min(begin+256, tree.N); index++ {
			indexes = append(indexes, tlog.StoredHashIndex(0, index))
		}
		hashes, err := reader.ReadHashes(indexes)
		must(err, "%s: leaves from %d", root, begin)
		all = append(all, hashes...)
	}
	return all
}

// checkEntries reads the entry bundles by the specification: two bytes of length, big endian, and the entry.
func checkEntries(root string, tree tlog.Tree, leaves []tlog.Hash) {
	for begin := int64(0); begin < tree.N; begin += 256 {
		width := min(256, tree.N-begin)
		tile := tlog.Tile{H: 8, L: -1, N: begin / 256, W: int(width)}
		path := strings.Replace(tile.Path(), "tile/8/data/", "tile/entries/", 1)
		bundle, err := os.ReadFile(filepath.Join(root, path))
		must(err, "%s", root)
		for at := begin; at < begin+width; at++ {
			if len(bundle) < 2 || len(bundle) < 2+int(bundle[0])<<8+int(bundle[1]) {
				fail("%s: %s ends within entry %d", root, path, at)
			}
			length := int(bundle[0])<<8 + int(bundle[1])
			entry := bundle[2 : 2+length]
			if tlog.RecordHash(entry) != leaves[at] {
				fail("%s: entry %d is not its leaf", root, at)
			}
			bundle = bundle[2+length:]
			counted.accepted++
		}
		if len(bundle) != 0 {
			fail("%s: %s has bytes too many", root, path)
		}
	}
	fmt.Printf("%s: size %d, root %s\n", root, tree.N, tree.Hash)
}
