//! `#[derive(LogicBlock)]` of moevit's circuits: rust-hdl's, but evaluated block by block.
//!
//! It gives a struct rust-hdl's `Block`, with the same scopes and signals, `moevit_hw::circuit::Evaluate`, whose file explains
//! the order of evaluation, and `moevit_hw::circuit::Inputs`.

use proc_macro2::TokenStream;
use quote::{quote, ToTokens};
use syn::{parse_macro_input, Data, DeriveInput, Error, Ident, Result, Type};

#[proc_macro_derive(LogicBlock)]
pub fn logic_block(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    implement(&input).unwrap_or_else(Error::into_compile_error).into()
}

/// The fields of a block by what they are; those whose name starts with `_` are plain data.
#[derive(Default)]
struct Fields {
    all: Vec<Ident>,
    clock: Option<Ident>,
    /// Without the clock.
    inputs: Vec<Ident>,
    outputs: Vec<Ident>,
    locals: Vec<Ident>,
    children: Vec<Ident>,
}

impl Fields {
    fn of(input: &DeriveInput) -> Result<Self> {
        let Data::Struct(data) = &input.data else {
            return Err(Error::new_spanned(input, "a block is a struct"));
        };
        let mut fields = Self::default();
        for field in &data.fields {
            let Some(name) = &field.ident else {
                return Err(Error::new_spanned(field, "a block's fields have names"));
            };
            if name.to_string().starts_with('_') {
                continue;
            }
            let ty = plain(&field.ty);
            let kind = if ty == "Signal<In,Clock>" {
                if let Some(other) = fields.clock.replace(name.clone()) {
                    return Err(Error::new_spanned(name, format!("{other} is a clock already")));
                }
                None
            } else if ty.contains("Clock>") {
                return Err(Error::new_spanned(
                    &field.ty,
                    "a block's clock is written `Signal<In, Clock>`",
                ));
            } else if ty.contains("Signal<In,") {
                Some(&mut fields.inputs)
            } else if ty.contains("Signal<Out,") {
                Some(&mut fields.outputs)
            } else if ty.contains("Signal<Local,") {
                Some(&mut fields.locals)
            } else {
                Some(&mut fields.children)
            };
            if let Some(kind) = kind {
                kind.push(name.clone());
            }
            fields.all.push(name.clone());
        }
        Ok(fields)
    }
}

fn plain(ty: &Type) -> String {
    ty.to_token_stream().to_string().replace(' ', "")
}

fn implement(input: &DeriveInput) -> Result<TokenStream> {
    let fields = Fields::of(input)?;
    let name = &input.ident;
    let (block, evaluate, inputs) = (block(&fields, name), evaluate(&fields), inputs(&fields));
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    Ok(quote! {
        impl #generics ::rust_hdl::prelude::Block for #name #arguments #bounds { #block }
        impl #generics ::moevit_hw::circuit::Evaluate for #name #arguments #bounds { #evaluate }
        impl #generics ::moevit_hw::circuit::Inputs for #name #arguments #bounds { #inputs }
    })
}

fn block(fields: &Fields, name: &Ident) -> TokenStream {
    let Fields { all, outputs, .. } = fields;
    let names = all.iter().map(Ident::to_string);
    let edge = edge(fields);
    let first_output = outputs.first().into_iter();
    // A namespace is the one thing that every probe takes without effect; the exporter reads the type's path in it.
    let name = name.to_string();
    let type_path = quote!(concat!("type:", module_path!(), "::", #name));
    quote! {
        fn connect_all(&mut self) {
            ::rust_hdl::prelude::Logic::connect(self);
            #(::rust_hdl::prelude::Block::connect_all(&mut self.#all);)*
            ::rust_hdl::prelude::Logic::update(self);
            ::moevit_hw::circuit::Evaluate::settle(self);
        }

        fn update_all(&mut self) {
            #(if !::moevit_hw::circuit::Evaluate::is_connected(&self.#first_output) {
                self.connect_all();
            })*
            if !::moevit_hw::circuit::Evaluate::evaluate(self) {
                #(::rust_hdl::prelude::Block::update_all(&mut self.#outputs);)*
            }
        }

        fn has_changed(&self) -> bool {
            #edge #(|| ::rust_hdl::prelude::Block::has_changed(&self.#outputs))*
        }

        fn accept(&self, name: &str, probe: &mut dyn ::rust_hdl::prelude::Probe) {
            probe.visit_start_scope(name, self);
            probe.visit_start_namespace(#type_path, self);
            probe.visit_end_namespace(#type_path, self);
            #(::rust_hdl::prelude::Block::accept(&self.#all, #names, probe);)*
            probe.visit_end_scope(name, self);
        }
    }
}

/// Whether the present evaluation, or the last one, is that of a rising edge.
fn edge(fields: &Fields) -> TokenStream {
    match &fields.clock {
        Some(clock) => quote!(self.#clock.pos_edge()),
        None => quote!(false),
    }
}

/// What a block with a clock does at its edges.
fn clock_edges(fields: &Fields, clock: &Ident) -> TokenStream {
    let Fields {
        outputs, children, ..
    } = fields;
    quote! {
        ::rust_hdl::prelude::Block::update_all(&mut self.#clock);
        if self.#clock.neg_edge() {
            #(::moevit_hw::circuit::Evaluate::fall(&mut self.#children);)*
        }
        if self.#clock.pos_edge() {
            ::rust_hdl::prelude::Logic::update(self);
            #(::moevit_hw::circuit::Evaluate::evaluate(&mut self.#children);)*
            // The second run only joins the children's new outputs: a leaf cell must not take the edge twice.
            self.#clock.changed = false;
            ::rust_hdl::prelude::Logic::update(self);
            self.#clock.changed = true;
            #(::rust_hdl::prelude::Block::update_all(&mut self.#outputs);)*
            return true;
        }
    }
}

fn evaluate(fields: &Fields) -> TokenStream {
    let Fields {
        inputs,
        outputs,
        locals,
        children,
        ..
    } = fields;
    let edge = edge(fields);
    let clock = fields.clock.iter();
    let clock_edges = fields.clock.iter().map(|clock| clock_edges(fields, clock));
    quote! {
        fn evaluate(&mut self) -> bool {
            let after_edge = #edge;
            let mut changed = false;
            #(changed |= ::moevit_hw::circuit::Evaluate::evaluate(&mut self.#inputs);)*
            #(#clock_edges)*
            if changed {
                ::rust_hdl::prelude::Logic::update(self);
            }
            (changed || after_edge) && ::moevit_hw::circuit::Evaluate::settle(self)
        }

        fn settle(&mut self) -> bool {
            let mut passes = ::moevit_hw::circuit::Passes::of::<Self>();
            while {
                let mut changed = false;
                #(changed |= ::moevit_hw::circuit::Evaluate::evaluate(&mut self.#children);)*
                changed && passes.another()
            } {
                ::rust_hdl::prelude::Logic::update(self);
            }
            #(::rust_hdl::prelude::Block::update_all(&mut self.#locals);)*
            let mut changed = false;
            #(changed |= ::moevit_hw::circuit::Evaluate::evaluate(&mut self.#outputs);)*
            changed
        }

        fn fall(&mut self) {
            #(
                self.#clock.next = false.into();
                ::rust_hdl::prelude::Block::update_all(&mut self.#clock);
            )*
            #(::moevit_hw::circuit::Evaluate::fall(&mut self.#children);)*
        }
    }
}

fn inputs(fields: &Fields) -> TokenStream {
    let Fields { inputs, .. } = fields;
    let names = inputs.iter().map(Ident::to_string);
    let clock = fields.clock.iter();
    quote! {
        fn set_inputs(&mut self, source: &mut dyn FnMut(&'static str, usize) -> u64) {
            let _ = &source;
            #(::moevit_hw::circuit::Input::set(&mut self.#inputs, #names, source);)*
        }

        fn set_clock(&mut self, level: bool) {
            let _ = level;
            #(self.#clock.next = level.into();)*
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Result<Fields> {
        let input = syn::parse_str(&format!("struct Block {{ {body} }}"))?;
        Fields::of(&input)
    }

    #[test]
    fn fields_are_told_apart_by_their_types() {
        let fields = fields(
            "clock: Signal<In, Clock>, a: Signal<In, Bit>, b: Vec<Signal<In, Bits<8>>>, q: Vec<Signal<Out, Bit>>,
             x: Signal<Local, Bit>, r: DFF<Bit>, _plain: usize",
        )
        .unwrap();
        assert_eq!(fields.clock.unwrap(), "clock");
        assert_eq!(fields.inputs, ["a", "b"]);
        assert_eq!(fields.outputs, ["q"]);
        assert_eq!(fields.locals, ["x"]);
        assert_eq!(fields.children, ["r"]);
        assert_eq!(fields.all.len(), 6);
    }

    #[test]
    fn a_clock_that_would_be_taken_for_an_input_is_refused() {
        for body in [
            "clock: Vec<Signal<In, Clock>>",
            "clock: rust_hdl::prelude::Signal<In, Clock>",
            "clock: Signal<Local, Clock>",
            "a: Signal<In, Clock>, b: Signal<In, Clock>",
        ] {
            let message = fields(body).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(message.contains("clock"), "{body}: {message}");
        }
    }
}
