// What local-path-provisioner runs on a node to make or remove a volume's folder, in place of a shell and its scripts.
package main

import (
	"flag"
	"log"
	"os"
)

func main() {
	path := flag.String("p", "", "the folder")
	flag.String("s", "", "bytes that were asked for: a folder has no size")
	flag.String("m", "", "volume mode")
	action := flag.String("a", "", "create or delete")
	flag.Parse()
	var err error
	switch *action {
	case "create":
		if err = os.MkdirAll(*path, 0o777); err == nil {
			// Against the umask: who uses the volume is nobody in particular.
			err = os.Chmod(*path, 0o777)
		}
	case "delete":
		err = os.RemoveAll(*path)
	default:
		log.Fatalf("unknown action %q", *action)
	}
	if err != nil {
		log.Fatal(err)
	}
}
