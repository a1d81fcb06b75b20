// Lists each archive as Go's archive/zip reads it: one JSON object a line, file name to sha256.
package main

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

func listed(path string) (map[string]string, error) {
	archive, err := zip.OpenReader(path)
	if err != nil {
		return nil, err
	}
	defer archive.Close()
	found := map[string]string{}
	for _, file := range archive.File {
		if file.FileInfo().IsDir() {
			continue
		}
		content, err := file.Open()
		if err != nil {
			return nil, err
		}
		digest := sha256.New()
		if _, err := io.Copy(digest, content); err != nil {
			return nil, err
		}
		content.Close()
		found[file.Name] = hex.EncodeToString(digest.Sum(nil))
	}
	return found, nil
}

func main() {
	for _, path := range os.Args[1:] {
		found, err := listed(path)
		if err != nil {
			found = map[string]string{"": err.Error()}
		}
		line, _ := json.Marshal(found)
		fmt.Println(string(line))
	}
}
