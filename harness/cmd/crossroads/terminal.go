package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// defaultWidth is that of a terminal whose width is not known, in columns.
const defaultWidth = 120

// colour says whether stdout is a terminal that wants colours (https://no-color.org).
func (a *app) colour() bool {
	_, refused := os.LookupEnv("NO_COLOR")
	return !refused && a.columns() > 0
}

func (a *app) width() int {
	if w := a.columns(); w > 0 {
		return w
	}
	return defaultWidth
}

// columns of the terminal behind stdout; 0 where there is none.
func (a *app) columns() int {
	f, ok := a.stdout.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}
