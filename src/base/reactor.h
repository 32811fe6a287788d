#pragma once

#include "godwit/reactor.h"  // public, because handlers meet it; this path is for the layers inside
